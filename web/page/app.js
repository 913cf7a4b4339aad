/** The live page: the stream on one side, a panel per concern on the other. */
import { AlertFeed } from './alerts.js';
import { Banners } from './banners.js';
import { ChartPanel } from './chart.js';
import { hearServerTime } from './clock.js';
import { DeviceList } from './devices.js';
import { byId, setText } from './dom.js';
import { duration } from './format.js';
import { Hint } from './hint.js';
import { LedgerPanel } from './ledger.js';
import { Rates } from './rates.js';
import { openStream } from './stream.js';
import { Strip } from './strip.js';

const banners = new Banners();
const strip = new Strip();
const ledger = new LedgerPanel();
const alerts = new AlertFeed();
const hint = new Hint();
const devices = new DeviceList((series) => chart.choose(series));
const chart = new ChartPanel({
  fieldsOf: (device) => devices.find(device)?.fields ?? {},
  onChange: (series) => devices.markCharted(series),
});
const rates = new Rates();

/** What comes at a connection are states, not news: the first status to follow the first one ends them. */
let statusesSinceOpened = 0;
let devicesAreComplete = false;
/** @type {import('../api.ts').Overview | null} */
let newest = null;

function drawStrip() {
  if (newest !== null) strip.show({ overview: newest, rates, firing: alerts.firing });
}

function drawHint() {
  if (newest !== null && devicesAreComplete) hint.show(devices.size === 0, newest.roles);
}

openStream({
  opened() {
    statusesSinceOpened = 0;
    devicesAreComplete = false;
    alerts.clear();
    banners.connected();
  },

  lost() {
    banners.lost();
  },

  status(overview) {
    statusesSinceOpened++;
    hearServerTime(overview.atMs);
    rates.add(overview);
    newest = overview;
    drawStrip();
    ledger.show(overview.ledger);
    banners.showProblems(overview.problems);
    setText(byId('facts'), `${overview.version} · up ${duration(overview.uptimeMs)}`);
    drawHint();
  },

  devices(changed) {
    devices.update(changed, !devicesAreComplete);
    devicesAreComplete = true;
    drawHint();
    if (!chart.hasSeries) {
      const first = devices.first();
      if (first !== null) chart.choose(first);
    }
    chart.hear(changed);
  },

  alert(alert) {
    const isNews = alerts.update(alert);
    drawStrip();
    if (isNews && alert.status === 'firing' && statusesSinceOpened > 1) {
      setText(byId('announcer'), `Alert, ${alert.severity}: ${alert.summary}`);
    }
  },
});

setInterval(() => {
  devices.tick();
  alerts.tick();
  chart.tick();
}, 1000);
