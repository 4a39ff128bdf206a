// The symbol atlas: APP-6(D) symbols drawn by milsymbol and the nations' badges, into one canvas, each once, when first seen.
import ms from "milsymbol";
import type { Symbol as MilSymbol } from "milsymbol";
import { css, nationColour, shapePath } from "./palette";

const CELL = 72;
const COLUMNS = 16;
const ROWS = 16;
const SYMBOL_SIZE = 34;

// Standard identity (fourth digit of the symbol code) by the affiliation words of the node.
const IDENTITIES: Record<string, string> = {
  pending: "0",
  unknown: "1",
  "assumed-friend": "2",
  friend: "3",
  neutral: "4",
  suspect: "5",
  hostile: "6",
};
// Symbol set and entity by domain; aircraft that identify themselves get the civilian entity, ships the bare frame (their
// entity is letters, which nobody can read at this size).
const SETS: Record<string, [string, string, string]> = {
  unknown: ["10", "000000", "000000"],
  air: ["01", "000000", "120100"],
  sea: ["30", "000000", "000000"],
  missile: ["02", "110000", "110000"],
  space: ["05", "110000", "120000"],
};

// Line colours on a dark ground: the hues of APP-6(D), light enough to read when thin; the fill is the same hue, thin.
const LINES: Record<string, string> = {
  pending: "#f5e35a",
  unknown: "#f5e35a",
  "assumed-friend": "#6fd0f7",
  friend: "#6fd0f7",
  neutral: "#7fe0a0",
  suspect: "#ff9a94",
  hostile: "#ff7f7f",
};

/** The drawn symbol of a code: used by the map's atlas and the legend alike. */
export function drawSymbol(affiliation: string, code: string, size: number): MilSymbol {
  const line = LINES[affiliation] ?? "#f5e35a";
  const all = { Civilian: line, Friend: line, Hostile: line, Neutral: line, Unknown: line, Suspect: line };
  return new ms.Symbol(code, {
    size,
    civilianColor: false,
    colorMode: all,
    frameColor: all,
    iconColor: line,
    fillOpacity: 0.28,
    strokeWidth: 9,
    outlineWidth: 5,
    outlineColor: "#070e14",
  });
}

export interface Cell {
  x: number;
  y: number;
  width: number;
  height: number;
  anchorX: number;
  anchorY: number;
  mask: boolean;
}

export function symbolCode(affiliation: string, domain: string, coasting: boolean, identified: boolean): string {
  const [set, plain, civil] = SETS[domain] ?? ["10", "000000", "000000"];
  return `130${IDENTITIES[affiliation] ?? "1"}${set}${coasting ? "1" : "0"}000${identified ? civil : plain}0000`;
}

export class Atlas {
  private readonly canvas = document.createElement("canvas");
  private readonly cells: Record<string, Cell> = {};
  private stale = true;
  private image = document.createElement("canvas");
  private mapping: Record<string, Cell> = {};
  private used = 0;
  private readonly context: CanvasRenderingContext2D;

  constructor() {
    this.canvas.width = CELL * COLUMNS;
    this.canvas.height = CELL * ROWS;
    const context = this.canvas.getContext("2d");
    if (!context) throw new Error("no canvas");
    this.context = context;
  }

  /** The atlas as deck.gl wants it: new objects when, and only when, something was added since the last call. */
  current(): { image: HTMLCanvasElement; mapping: Record<string, Cell> } {
    if (this.stale) {
      this.image = document.createElement("canvas");
      this.image.width = this.canvas.width;
      this.image.height = this.canvas.height;
      this.image.getContext("2d")?.drawImage(this.canvas, 0, 0);
      this.mapping = { ...this.cells };
      this.stale = false;
    }
    return { image: this.image, mapping: this.mapping };
  }

  symbol(affiliation: string, domain: string, coasting: boolean, identified: boolean): string {
    const code = symbolCode(affiliation, domain, coasting, identified);
    if (!(code in this.cells)) {
      const symbol = drawSymbol(affiliation, code, SYMBOL_SIZE);
      const drawn = symbol.asCanvas();
      const scale = Math.min(1, CELL / drawn.width, CELL / drawn.height);
      const anchor = symbol.getAnchor();
      this.place(code, (x, y) => {
        const [left, top] = [x + CELL / 2 - anchor.x * scale, y + CELL / 2 - anchor.y * scale];
        this.context.drawImage(drawn, left, top, drawn.width * scale, drawn.height * scale);
      });
    }
    return code;
  }

  badge(bit: number): string {
    const key = `nation-${bit}`;
    if (!(key in this.cells)) {
      this.place(key, (x, y) => {
        const path = new Path2D(shapePath(bit, x + CELL / 2, y + CELL / 2, CELL / 3));
        this.context.lineWidth = 14;
        this.context.strokeStyle = "#081018";
        this.context.stroke(path);
        this.context.fillStyle = css(nationColour(bit));
        this.context.fill(path);
      });
    }
    return key;
  }

  private place(key: string, draw: (x: number, y: number) => void): void {
    const index = this.used++ % (COLUMNS * ROWS);
    const x = (index % COLUMNS) * CELL;
    const y = Math.floor(index / COLUMNS) * CELL;
    draw(x, y);
    this.cells[key] = { x, y, width: CELL, height: CELL, anchorX: CELL / 2, anchorY: CELL / 2, mask: false };
    this.stale = true;
  }
}
