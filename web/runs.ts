/**
 * The runs of gateways and processors that were heard of, on the pipeline status topic. A run that is silent for five
 * seconds is gone, but what it counted stays in the sums: a gateway counts per run; a processor's ledger goes on from
 * its snapshot, in whichever process owns the partition next.
 */
import {
  addLedgers,
  count,
  emptyGatewayLedger,
  type GatewayLedger,
  gatewayImbalances,
  imbalances,
  type LedgerTotals,
  total,
} from '../core/ledger.ts';
import type { DroppedReason } from '../core/reasons.ts';
import type { PartitionStatus, PipelineStatus, SkewedDevice } from '../core/status.ts';
import type { Ledger, Totals } from './api.ts';

const goneAfterMs = 5000;
/** Runs that ended longer ago go from the topic; what they counted stays in the sums of those who have read it. */
const forgetAfterMs = 86_400_000;

interface Run {
  readonly status: PipelineStatus;
  /** Clock of this process. */
  readonly heardAtMs: number;
}

export class Runs {
  readonly #runs = new Map<string, Run>();
  /** The furthest status of each raw partition, whoever said it. */
  readonly #partitions = new Map<string, PartitionStatus>();
  readonly #forgotten = { gateway: emptyGatewayLedger(), rollups: 0, alerts: 0 };

  /** `heardAtMs`: now for what was said just now, else when it was said. */
  heard(status: PipelineStatus, heardAtMs: number): void {
    this.#runs.set(keyOf(status), { status, heardAtMs });
    if (status.role !== 'processor') return;
    for (const [id, partition] of Object.entries(status.partitions)) {
      const known = this.#partitions.get(id);
      if (known === undefined || partition.position >= known.position) this.#partitions.set(id, partition);
    }
  }

  /** A run was taken from the topic. */
  forget(key: string): void {
    const status = this.#runs.get(key)?.status;
    this.#runs.delete(key);
    if (status?.role === 'gateway') addGatewayLedger(this.#forgotten.gateway, status.ledger);
    if (status?.role === 'processor') {
      this.#forgotten.rollups += status.rollupsWritten;
      this.#forgotten.alerts += status.alertsRaised;
    }
  }

  /** Keys of runs that ended so long ago that they should go from the topic. */
  forgettable(nowMs: number): string[] {
    return [...this.#runs].filter(([, { heardAtMs }]) => nowMs - heardAtMs > forgetAfterMs).map(([key]) => key);
  }

  /** Gateways first, then processors, oldest first. */
  living(nowMs: number): PipelineStatus[] {
    return [...this.#runs.values()]
      .filter(({ heardAtMs }) => nowMs - heardAtMs < goneAfterMs)
      .map(({ status }) => status)
      .sort((a, b) => a.role.localeCompare(b.role) || a.startedAtMs - b.startedAtMs);
  }

  /** Devices whose clock is off, as far as the living processors tell of them. */
  skewed(nowMs: number): SkewedDevice[] {
    return this.living(nowMs).flatMap((status) => (status.role === 'processor' ? status.skewed.worst : []));
  }

  ledger(): Ledger {
    const gateway = this.#gatewayLedger();
    const wrong = [
      ...[...this.#runs].flatMap(([key, { status }]) =>
        status.role === 'gateway' ? gatewayImbalances(status.ledger).map((text) => `${key}: ${text}`) : [],
      ),
      ...[...this.#partitions].flatMap(([id, { ledger }]) =>
        imbalances(ledger).map((text) => `partition ${id}: ${text}`),
      ),
    ];
    return { balanced: wrong.length === 0, imbalances: wrong, gateway, processor: this.#processorLedger() };
  }

  totals(nowMs: number): Totals {
    const { received, appended } = this.#gatewayLedger();
    const ledger = this.#processorLedger();
    let clients = 0;
    let { rollups, alerts } = this.#forgotten;
    for (const status of this.living(nowMs)) if (status.role === 'gateway') clients += status.clients;
    for (const { status } of this.#runs.values()) {
      if (status.role !== 'processor') continue;
      rollups += status.rollupsWritten;
      alerts += status.alertsRaised;
    }
    return {
      clients,
      received,
      appended,
      processed: ledger.records,
      stored: ledger.stored,
      rollups,
      alerts,
      deadLettered: total(ledger.deadLettered) + total(ledger.rejected) + total(ledger.refused),
      late: ledger.late,
      duplicates: ledger.duplicates,
    };
  }

  #processorLedger(): LedgerTotals {
    return addLedgers([...this.#partitions.values()].map(({ ledger }) => ledger));
  }

  #gatewayLedger(): GatewayLedger {
    const sum = emptyGatewayLedger();
    addGatewayLedger(sum, this.#forgotten.gateway);
    for (const { status } of this.#runs.values()) {
      if (status.role === 'gateway') addGatewayLedger(sum, status.ledger);
    }
    return sum;
  }
}

export function keyOf({ role, instance }: PipelineStatus): string {
  return `${role}/${instance}`;
}

function addGatewayLedger(sum: GatewayLedger, ledger: GatewayLedger): void {
  sum.received += ledger.received;
  sum.inherited += ledger.inherited;
  sum.appended += ledger.appended;
  sum.spooled += ledger.spooled;
  sum.held += ledger.held;
  for (const [reason, n] of Object.entries(ledger.dropped)) count(sum.dropped, reason as DroppedReason, n);
}
