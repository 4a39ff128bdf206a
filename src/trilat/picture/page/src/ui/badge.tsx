import { css, nationColour, shapePath } from "../map/palette";
import * as s from "../state";

/** A nation's mark: its colour and its shape, as on the map. Who is none (PUBLIC) has a ring of no nation's colour. */
export function Badge({ nation }: { nation: string }) {
  const bit = s.hello.value?.nations.indexOf(nation) ?? -1;
  return (
    <svg class="badge" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
      {bit < 0 ? (
        <circle cx="6" cy="6" r="3.8" fill="none" stroke="#8ea3b3" stroke-width="1.4" />
      ) : (
        <path d={shapePath(bit, 6, 6, 4.4)} fill={css(nationColour(bit))} />
      )}
    </svg>
  );
}
