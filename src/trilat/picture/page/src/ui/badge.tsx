import { css, nationColour, shapePath } from "../map/palette";
import * as s from "../state";

/** A nation's mark: its colour and its shape, as on the map. */
export function Badge({ nation }: { nation: string }) {
  const bit = Math.max(0, s.hello.value?.nations.indexOf(nation) ?? 0);
  return (
    <svg class="badge" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
      <path d={shapePath(bit, 6, 6, 4.4)} fill={css(nationColour(bit))} />
    </svg>
  );
}
