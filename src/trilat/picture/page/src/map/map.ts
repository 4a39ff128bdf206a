// The map: MapLibre below, deck.gl above, redrawn at most once per animation frame when something changed.
import { MapboxOverlay } from "@deck.gl/mapbox";
import { effect } from "@preact/signals";
import { Map as MapLibre, NavigationControl, ScaleControl, setWorkerUrl } from "maplibre-gl";
import "maplibre-gl/dist/maplibre-gl.css";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { mapLayers, shown } from "../filters";
import { lang } from "../ui/strings";
import * as s from "../state";
import { select } from "../wire";
import { BOX, baseStyle } from "./basemap";
import { draw } from "./layers";
import { PLACES } from "./places";
import { Atlas } from "./symbols";

setWorkerUrl(workerUrl);

/** What the page drew last, for `window.trilat`. */
export const drawn = { symbols: 0, frames: 0, scriptMs: 0, view: [0, 0, 0, 0] };

const reduced = matchMedia("(prefers-reduced-motion: reduce)");

/** Tell whether this browser can draw a map at all: a remote desktop, a locked-down or a very old station may not. */
function canDraw(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2");
  gl?.getExtension("WEBGL_lose_context")?.loseContext(); // a browser gives few of them
  return gl !== null;
}

export async function startMap(container: HTMLElement): Promise<void> {
  const center = s.hello.value?.center ?? { lat_deg: 33.5, lon_deg: 129.5, zoom: 5.5 };
  s.mapCentre.value = [center.lon_deg, center.lat_deg]; // where a warning is raised when no track is chosen, with a map or without
  if (!canDraw()) {
    s.mapless.value = true;
    return;
  }
  const map = new MapLibre({
    container,
    style: await baseStyle(),
    center: [center.lon_deg, center.lat_deg],
    zoom: center.zoom,
    minZoom: 3,
    maxZoom: 13,
    maxBounds: [BOX.west, BOX.south, BOX.east, BOX.north],
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    maplibreLogo: false,
    fadeDuration: 0,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.enable();
  map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
  map.addControl(new ScaleControl({ unit: "nautical", maxWidth: 110 }), "bottom-left");
  const overlay = new MapboxOverlay({ interleaved: false, layers: [], pickingRadius: 6, getCursor: ({ isHovering }) => (isHovering ? "pointer" : "crosshair") });
  map.addControl(overlay);
  map.on("mousemove", (e) => (s.cursor.value = [e.lngLat.lng, e.lngLat.lat]));
  map.on("moveend", () => {
    s.mapCentre.value = [map.getCenter().lng, map.getCenter().lat];
    drawn.view = map.getBounds().toArray().flat();
  });
  map.on("mouseout", () => (s.cursor.value = null));
  map.on("click", (e) => {
    if (!overlay.pickObject({ x: e.point.x, y: e.point.y, radius: 6, layerIds: ["symbols"] })) select(0);
  });
  map.once("load", () => container.setAttribute("data-ready", "true"));
  redrawOn(map, overlay);
}

function redrawOn(map: MapLibre, overlay: MapboxOverlay): void {
  const atlas = new Atlas();
  let waiting = 0;
  const request = () => {
    if (!waiting) waiting = requestAnimationFrame(() => {
      waiting = 0;
      redraw(map, overlay, atlas);
    });
  };
  map.on("zoomend", request);
  effect(() => {
    void [shown.value, mapLayers.value, s.selectedId.value, s.details.value, s.openWarnings.value, s.outlines.value, lang.value];
    request();
  });
  effect(() => {
    const on = mapLayers.value;
    if (!map.isStyleLoaded()) return;
    for (const id of ["borders", "graticule"] as const) map.setLayoutProperty(id, "visibility", on.has(id) ? "visible" : "none");
  });
  effect(() => {
    const to = s.flyTo.value;
    if (!to) return;
    if ("box" in to) {
      map.fitBounds(to.box, { padding: 36, maxZoom: 8, animate: !reduced.matches });
      return;
    }
    const view = { center: [to.lon, to.lat] as [number, number], zoom: to.zoom ?? map.getZoom() };
    if (reduced.matches) map.jumpTo(view);
    else map.easeTo({ ...view, duration: 700 });
  });
}

function redraw(map: MapLibre, overlay: MapboxOverlay, atlas: Atlas): void {
  const hello = s.hello.value;
  if (!hello) return;
  const started = performance.now();
  const { layers, symbols } = draw({
    hello,
    tracks: s.tracks,
    shown: shown.value,
    nowMs: performance.now() + s.offsetMs.value,
    zoom: map.getZoom(),
    atlas,
    selected: s.selectedId.value,
    details: s.details.value,
    warnings: s.openWarnings.value,
    outlines: s.outlines.value,
    layers: mapLayers.value,
    lang: lang.value,
    places: hello.places.length ? hello.places : PLACES,
    onPick: select,
  });
  overlay.setProps({ layers });
  drawn.symbols = symbols;
  drawn.frames++;
  drawn.scriptMs += performance.now() - started;
}
