// Colours of source nations: Okabe and Ito (2008), without its orange and vermilion, which stay for warnings. The order is
// that of the nations' names, so that all partners' pages agree. A shape goes with every colour.
export type Rgb = [number, number, number];

export const NATION_COLOURS: Rgb[] = [
  [86, 180, 233],
  [240, 228, 66],
  [204, 121, 167],
  [0, 158, 115],
  [94, 130, 255],
  [200, 200, 200],
];
export const NATION_SHAPES = ["circle", "triangle", "square", "diamond", "cross", "bar"] as const;
export const WARNING: Rgb = [255, 138, 61];

export function nationColour(bit: number): Rgb {
  return NATION_COLOURS[bit % NATION_COLOURS.length] ?? [200, 200, 200];
}

export function css(colour: Rgb, alpha = 1): string {
  return `rgb(${colour.join(" ")} / ${alpha})`;
}

/** The shape's outline inside a box of side 2r about (x, y), as an SVG path. */
export function shapePath(bit: number, x: number, y: number, r: number): string {
  const to = (points: [number, number][]) => `M${points.map(([a, b]) => `${x + a * r} ${y + b * r}`).join("L")}Z`;
  switch (NATION_SHAPES[bit % NATION_SHAPES.length]) {
    case "triangle":
      return to([[0, -1.1], [1.05, 0.8], [-1.05, 0.8]]);
    case "square":
      return to([[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]]);
    case "diamond":
      return to([[0, -1.15], [1.15, 0], [0, 1.15], [-1.15, 0]]);
    case "cross":
      return to([[-0.35, -1], [0.35, -1], [0.35, -0.35], [1, -0.35], [1, 0.35], [0.35, 0.35], [0.35, 1], [-0.35, 1], [-0.35, 0.35], [-1, 0.35], [-1, -0.35], [-0.35, -0.35]]);
    case "bar":
      return to([[-1.1, -0.45], [1.1, -0.45], [1.1, 0.45], [-1.1, 0.45]]);
    default:
      return `M${x - r} ${y}A${r} ${r} 0 1 0 ${x + r} ${y}A${r} ${r} 0 1 0 ${x - r} ${y}Z`;
  }
}
