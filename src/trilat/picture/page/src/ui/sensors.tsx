// What is thought of each sensor's and partner's data: does it fit, by which figure, and which biases are taken off it.
import type { SensorLight } from "../protocol";
import { Badge } from "./badge";
import { t } from "./strings";
import { Light } from "./topbar";

const DEGREES = 180 / Math.PI;
// Per kind of bias: its place among the words of `biasWords`, how many of its unit a shown one is, digits, and the unit shown.
const KINDS: Record<string, [number, number, number, string]> = {
  range_m: [0, 1, 0, "m"],
  azimuth_rad: [1, DEGREES, 2, "°"],
  elevation_rad: [2, DEGREES, 2, "°"],
  time_s: [3, 1, 2, "s"],
  east_m: [4, 1, 0, "m"],
  north_m: [5, 1, 0, "m"],
  up_m: [6, 1, 0, "m"],
};

/** A bias as "range +98 ± 5 m". */
function told({ kind, value, sigma }: SensorLight["biases"][number]): string {
  const [word, factor, digits, unit] = KINDS[kind] ?? [-1, 1, 2, ""];
  const sign = value < 0 ? "−" : "+";
  const figures = `${sign}${Math.abs(value * factor).toFixed(digits)} ± ${(sigma * factor).toFixed(digits)}`;
  return `${t("biasWords").split("|")[word] ?? kind} ${figures}${unit === "°" ? "" : " "}${unit}`;
}

function Sensor({ sensor }: { sensor: SensorLight }) {
  const why = `${sensor.judged}${sensor.reason ? `: ${sensor.reason}` : ""}`;
  const own = sensor.name.startsWith(`${sensor.nation}/`) ? sensor.name : `${sensor.nation} ${sensor.name}`;
  const name = sensor.tracker ? `${own} → ${sensor.tracker}` : own;
  const nis = sensor.nis === null ? "–" : sensor.nis.toFixed(1);
  const biases = sensor.biases.map(told);
  return (
    <tr title={[name, why, `NIS ${sensor.nis?.toFixed(2) ?? "–"}`, ...biases].join("\n")}>
      <td>
        <Light state={sensor.state} />
      </td>
      <th scope="row">
        <span>
          <Badge nation={sensor.nation} /> {name}
        </span>
        {sensor.judged !== "fit" && <small class={sensor.reason ? "refused" : ""}>{why}</small>}
        {biases.map((one) => (
          <small key={one}>{one}</small>
        ))}
      </th>
      <td class="num">{nis}</td>
    </tr>
  );
}

export function Sensors({ sensors }: { sensors: SensorLight[] }) {
  if (sensors.length === 0) return null;
  return (
    <>
      <h2>
        {t("sensors")} <small title={t("nisHint")}>NIS</small>
      </h2>
      <table class="lights judged" data-testid="sensors">
        <tbody>
          {sensors.map((sensor) => (
            <Sensor key={`${sensor.nation} ${sensor.name} ${sensor.tracker}`} sensor={sensor} />
          ))}
        </tbody>
      </table>
    </>
  );
}
