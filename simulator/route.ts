/** A way on the map, passed at a steady speed: there and back, or round and round. */
import type { Moment, Signal } from './signals.ts';

/** Latitude and longitude in degrees. */
export type Waypoint = readonly [lat: number, lon: number];

export interface Way {
  readonly waypoints: readonly Waypoint[];
  /** From the last waypoint on to the first, instead of back the way it came. */
  readonly isClosed: boolean;
  readonly metresPerSecond: number;
  /** The part of the whole way, 0 to 1, that lies behind at the start. */
  readonly start: number;
}

interface Leg {
  readonly from: Waypoint;
  readonly to: Waypoint;
  readonly startsAtMetres: number;
  readonly metres: number;
}

export interface Place {
  readonly lat: number;
  readonly lon: number;
  /** Clockwise from north, 0 to 360 degrees. */
  readonly heading: number;
}

/** Where it is at a moment. */
export function placeOn(way: Way): (at: Moment) => Place {
  const legs = legsOf(way);
  const last = legs.at(-1)!;
  const metres = last.startsAtMetres + last.metres;
  return ({ elapsedMs }) => {
    const gone = way.start * metres + (elapsedMs / 1000) * way.metresPerSecond;
    const into = gone % metres;
    const leg = legs.findLast(({ startsAtMetres }) => startsAtMetres <= into)!;
    const part = leg.metres === 0 ? 0 : (into - leg.startsAtMetres) / leg.metres;
    const [lat, lon] = [0, 1].map((axis) => leg.from[axis]! + (leg.to[axis]! - leg.from[axis]!) * part);
    return { lat: lat!, lon: lon!, heading: headingOf(leg) };
  };
}

/** One coordinate of the way. */
export function path(way: Way, gives: keyof Place): Signal<number> {
  return () => {
    const place = placeOn(way);
    return (at) => place(at)[gives];
  };
}

function legsOf({ waypoints, isClosed }: Way): Leg[] {
  const stops = isClosed ? [...waypoints, waypoints[0]!] : [...waypoints, ...waypoints.slice(0, -1).reverse()];
  let startsAtMetres = 0;
  return stops.slice(1).map((to, i) => {
    const from = stops[i]!;
    const leg = { from, to, startsAtMetres, metres: metresBetween(from, to) };
    startsAtMetres += leg.metres;
    return leg;
  });
}

const radians = Math.PI / 180;
const earthMetres = 6_371_008.8;

/** The haversine formula. */
function metresBetween([latA, lonA]: Waypoint, [latB, lonB]: Waypoint): number {
  const a =
    Math.sin(((latB - latA) * radians) / 2) ** 2 +
    Math.cos(latA * radians) * Math.cos(latB * radians) * Math.sin(((lonB - lonA) * radians) / 2) ** 2;
  return 2 * earthMetres * Math.asin(Math.sqrt(a));
}

function headingOf({ from: [latA, lonA], to: [latB, lonB] }: Leg): number {
  const east = Math.sin((lonB - lonA) * radians) * Math.cos(latB * radians);
  const north =
    Math.cos(latA * radians) * Math.sin(latB * radians) -
    Math.sin(latA * radians) * Math.cos(latB * radians) * Math.cos((lonB - lonA) * radians);
  return (Math.atan2(east, north) / radians + 360) % 360;
}
