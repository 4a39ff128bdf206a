// A row of tabs: arrow keys move along it, as the ARIA practice has it.
import type { ComponentChildren } from "preact";

interface Props {
  names: readonly string[];
  chosen: string;
  choose: (name: string) => void;
  label: string;
  children: (name: string) => ComponentChildren;
}

export function Tabs({ names, chosen, choose, label, children }: Props) {
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    event.preventDefault();
    const next = names[(names.indexOf(chosen) + step + names.length) % names.length];
    if (next === undefined) return;
    choose(next);
    (event.currentTarget as HTMLElement).querySelector<HTMLElement>(`[data-name="${next}"]`)?.focus();
  };
  return (
    <div class="tabrow" role="tablist" aria-label={label} onKeyDown={onKey}>
      {names.map((name) => (
        <button
          key={name}
          type="button"
          role="tab"
          data-name={name}
          data-testid={`tab-${name}`}
          aria-selected={name === chosen}
          tabIndex={name === chosen ? 0 : -1}
          onClick={() => choose(name)}
        >
          {children(name)}
        </button>
      ))}
    </div>
  );
}
