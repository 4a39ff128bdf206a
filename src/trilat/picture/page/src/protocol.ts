// The messages of docs/reference/page-protocol.md, as types. Field names are the wire's.

export interface Place {
  lat_deg: number;
  lon_deg: number;
  name: string;
  names?: Record<string, string>;
  rank?: number;
}

export interface Site {
  id: string;
  kind: string;
  lat_deg: number;
  lon_deg: number;
  range_m: number;
}

export interface Hello {
  type: "hello";
  protocol: number;
  epoch: number;
  session: string;
  nation: string;
  node: string;
  mode: { kind: "live" | "exercise" | "replay"; id: string; words: string };
  nations: string[];
  partners: string[];
  level_names: string[];
  center: { lat_deg: number; lon_deg: number; zoom: number };
  places: Place[];
  sites: Site[];
  stale_s: Record<string, number>;
  frame_ms: number;
  domains: string[];
  statuses: string[];
  affiliations: string[];
  layers: string[];
  user: string;
  person: string;
  roles: string[];
  station: string;
  may: string[];
}

export interface Proposal {
  id: string;
  nation: string;
  mode: string;
  kind: string;
  content: string;
  content_sha256: string;
  t_ms: number;
  expires_ms: number;
  by: { user: string; person: string; station: string } | null;
  reason: string;
  approvals: { by: string; person: string; t_ms: number }[];
  missing: number;
  outcome?: string;
  settled_ms?: number;
  settled_by?: string;
}

export interface Approvals {
  type: "approvals";
  pending: Proposal[];
  settled: Proposal[];
  leave: AutoLeave | null;
}

/** Standing leave of two people: the node issues by itself to areas of its own nation that are sure enough. */
export interface AutoLeave {
  audiences: string[];
  probability_min: number;
  confidence_min: number;
  minutes: number;
  until_ms: number;
  by: string[];
}

export type LightState = "up" | "late" | "down" | "off";

export interface FeedLight {
  name: string;
  format: string;
  state: LightState;
  last_report_age_s: number | null;
  reports: number;
  reports_per_s: number;
  refused: Record<string, number>;
  note: string;
}

export interface LinkLight {
  nation: string;
  lane: "flash" | "state" | "history";
  state: LightState;
  last_heard_age_s: number | null;
  last_receipt_age_s: number | null;
  lag: number;
  epoch: number;
  received: number;
  sent: number;
  rejected: Record<string, number>;
  note: string;
  lag_s: number;
  head: string;
  lost: number;
  forks: number;
  kept_aside: number;
}

export interface SensorLight {
  nation: string;
  name: string;
  tracker: string;
  state: LightState;
  judged: "unknown" | "fit" | "suspect" | "quarantined";
  reason: string;
  nis: number | null;
  biases: { kind: string; value: number; sigma: number }[];
}

export interface Status {
  type: "status";
  t_ms: number;
  banner: string;
  level: number;
  feeds: FeedLight[];
  links: LinkLight[];
  sensors: SensorLight[];
  counters: Record<string, number>;
  refused: Record<string, number>;
  me: { user: string; person: string; roles: string[]; station: string; may: string[] };
  on_duty: { user: string; person: string; roles: string[] }[];
}

export interface Area {
  name: string;
  lat_deg: number;
  lon_deg: number;
  radius_m: number;
  probability?: number;
}

export interface Acknowledgement {
  nation: string;
  kind: "seen" | "acknowledged" | "handled";
  station: string;
  by: string;
  version: number;
  t_ms: number;
}

export interface Landing {
  lat_deg: number;
  lon_deg: number;
  t_ms: number;
  from_ms: number;
  to_ms: number;
  reliable: boolean;
  major_m: number;
  minor_m: number;
  bearing_deg: number;
}

export interface Fan {
  lat_deg: number;
  lon_deg: number;
  bearing_from_deg: number;
  bearing_to_deg: number;
  range_from_m: number;
  range_to_m: number;
}

export interface Flight {
  name: string;
  probability: number;
  shape: string | null;
  landing: Landing | null;
  fan: Fan | null;
  path: [number, number][];
  launch: [number, number] | null;
  lost_since_ms: number | null;
}

export interface TouchedArea {
  id: string;
  kind: string;
  names: Record<string, string>;
  touch: "landing" | "overflight";
  probability: number;
  from_ms: number;
  to_ms: number;
}

export interface Warning {
  key: string;
  originator: string;
  id: string;
  version: number;
  state: string;
  open: boolean;
  expired: boolean;
  mine: boolean;
  exercise: string;
  t_ms: number;
  news_version: number;
  first_t_ms: number;
  event_t_ms: number | null;
  expires_ms: number;
  kind: string;
  headline: string;
  text: string;
  confidence: number | null;
  areas: Area[];
  raised_by: string;
  issued: boolean;
  reason: string;
  flight: Flight | null;
  touched: TouchedArea[];
  lines: Record<string, string>;
  in_sight: boolean;
  label: string;
  level: number;
  audience: string[];
  nations: string[];
  acknowledgements: Acknowledgement[];
  retraction: { reason: string; text: string; by: string; t_ms: number } | null;
}

export interface LogLine {
  t_ms: number;
  severity: "info" | "caution" | "alarm";
  text: string;
}

export interface Answer {
  act_id: string;
  ok: boolean;
  reason: string;
  text: string;
}

export interface Ellipse {
  major_m: number;
  minor_m: number;
  bearing_deg: number;
}

export interface Details {
  type: "details";
  id: number;
  gone?: boolean;
  layer: string;
  origin: string;
  stream: string;
  number: number;
  domain: string;
  status: string;
  area?: boolean;
  lane?: string;
  t_ms: number;
  updated_ms: number;
  born_ms?: number;
  callsign?: string | null;
  address?: string | null;
  mmsi?: number | null;
  mode_3a?: string | null;
  existence?: number;
  flags: string[];
  sensors: { id: string; nation: string; kind: string }[];
  lat_deg: number;
  lon_deg: number;
  alt_m?: number;
  speed_m_s?: number;
  course_deg?: number;
  climb_m_s?: number;
  ellipse: Ellipse;
  sigma_alt_m?: number;
  sigma_speed_m_s?: number;
  label: string;
  level: number;
  audiences: { audience: string; permit: boolean; tier: string; reason: string }[];
}

export interface State {
  type: "state";
  event: number;
  warnings: Warning[];
  log: LogLine[];
}

export type Event =
  | { type: "event"; event: number; kind: "warning"; warning: Warning }
  | { type: "event"; event: number; kind: "answer"; answer: Answer }
  | { type: "event"; event: number; kind: "log"; line: LogLine };

export type Incoming = Hello | Status | State | Event | Details | Approvals | { type: "answer"; answer: Answer };

export type Act =
  | {
      act: "raise";
      kind: string;
      headline: string;
      text: string;
      areas: Area[];
      rel_to: string[];
      level: number;
      minutes: number;
    }
  | { act: "acknowledge"; originator: string; warning_id: string; version: number; kind: "acknowledged" | "handled" }
  | { act: "retract"; warning_id: string; version: number; reason: string; text: string }
  | { act: "issue"; warning_id: string; version: number; audiences: string[]; areas: string[]; minutes: number }
  | { act: "relay"; originator: string; warning_id: string; version: number; areas: string[]; minutes: number }
  | { act: "stand-down"; warning_id: string; version: number }
  | { act: "propose"; kind: string; content: string; reason: string }
  | { act: "propose-release"; audience: string; warning_id: string; track: number; tier: "track" | "area"; reason: string }
  | { act: "approve"; proposal: string; content_sha256: string }
  | { act: "decline"; proposal: string; content_sha256: string; reason: string };
