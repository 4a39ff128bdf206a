// The frame of every dialog: it says EXERCISE by itself, and Escape closes it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import * as s from "../state";
import { t } from "./strings";

export function Modal({ title, wide = false, children }: { title: string; wide?: boolean; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => box.current?.showModal(), []);
  return (
    <dialog ref={box} class={wide ? "wide" : ""} aria-label={title} onClose={() => (s.dialog.value = "")}>
      <h2>
        {s.exercising.value && <em class="chip mode-exercise">{s.hello.value?.mode.words}</em>} {title}
        <button type="button" class="quiet close" aria-label={t("cancel")} onClick={() => (s.dialog.value = "")}>
          ×
        </button>
      </h2>
      {children}
    </dialog>
  );
}
