import { useEffect, useRef } from "preact/hooks";
import { outside } from "./door";
import * as s from "./state";
import { startMap } from "./map/map";
import { Bottom } from "./ui/bottom";
import { Dialogs } from "./ui/dialogs";
import { Left } from "./ui/left";
import { Login } from "./ui/login";
import { Right } from "./ui/right";
import { Strip } from "./ui/strip";
import { t } from "./ui/strings";
import { Banner, TopBar } from "./ui/topbar";
import { utc } from "./ui/words";

function MapBox() {
  const box = useRef<HTMLDivElement>(null);
  const ready = s.hello.value !== null;
  useEffect(() => {
    if (ready && box.current) void startMap(box.current);
  }, [ready]);
  return (
    <main class="mapbox">
      <div ref={box} class="map" data-testid="map" />
      {s.mapless.value && (
        <div class="mapless" role="note" data-testid="mapless">
          <b>{t("mapless")}</b>
          {t("maplessWhy")}
        </div>
      )}
      {s.exercising.value && (
        <div class="watermark" aria-hidden="true">
          {s.hello.value?.mode.kind.toUpperCase()}
        </div>
      )}
      {s.disconnected.value && (
        <div class="disconnected" role="status" data-testid="disconnected">
          <b>{t("disconnected")}</b>
          {t("asOf")} {utc(s.tracks.tMs, true)}
        </div>
      )}
    </main>
  );
}

function Toast() {
  const said = s.toast.value;
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => (s.toast.value = ""), 8000);
    return () => clearTimeout(timer);
  }, [said]);
  return said ? (
    <div class="toast" role="status">
      {said}
    </div>
  ) : null;
}

export function App() {
  if (outside.value) return <Login />;
  return (
    <div class={`page ${s.exercising.value ? "exercising" : ""}`}>
      <Banner />
      <TopBar />
      <Strip />
      <Left />
      <MapBox />
      <Right />
      <Bottom />
      <Banner bottom />
      <Dialogs />
      <Toast />
    </div>
  );
}
