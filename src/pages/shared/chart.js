// Charts: uPlot in an element of the page, in the page's own colours, as wide as its place.

import { html, useEffect, useRef } from "./lib.js";
import uPlot from "../vendor/uplot-1.6.32.js";

const HEIGHT = 220;

/** The page's colours, as the style sheet has them now. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

function axes(colour, { xValues, yValues, xSteps }) {
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const look = { stroke: colour("soft"), font, ticks: { show: false } };
  return [
    { ...look, grid: { show: false }, space: 72, values: xValues, incrs: xSteps, size: 28 },
    { ...look, grid: { stroke: colour("line"), width: 1 }, space: 44, values: yValues, size: 44 },
  ];
}

/**
 * A chart: `rows` are columns as uPlot takes them, the first of them the moments in seconds;
 * `series` says how each other column is drawn: `{ colour, dash, fill, width }`. `xSteps` are the
 * seconds that may lie between two moments named below, if not any; a day begins there by the
 * reader's clock, or in `zone`. `summary` is for readers who do not see the chart.
 */
export function Chart({ rows, series, summary, xValues, yValues, xSteps, zone, range }) {
  const place = useRef();
  const text = JSON.stringify(rows);
  useEffect(() => {
    const element = place.current;
    const draw = () => {
      const colour = colours();
      const drawn = series.map(({ colour: name, dash, fill, width = 2 }) => ({
        stroke: colour(name),
        width,
        dash,
        fill: fill && colour(fill),
        spanGaps: true,
        points: { show: false },
      }));
      const size = { width: Math.max(200, element.clientWidth), height: HEIGHT };
      const scales = {
        x: { time: true, range: range?.x && (() => range.x) },
        y: { range: range?.y && (() => range.y) },
      };
      const options = {
        ...size,
        scales,
        axes: axes(colour, { xValues, yValues, xSteps }),
        tzDate: zone && ((at) => uPlot.tzDate(new Date(at * 1000), zone)),
        series: [{}, ...drawn],
      };
      return new uPlot(
        { ...options, legend: { show: false }, cursor: { show: false }, padding: [8, 26, 0, 0] },
        rows,
        element,
      );
    };
    let chart = draw();
    const again = () => {
      chart.destroy();
      chart = draw();
    };
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", again);
    const watch = new ResizeObserver(() =>
      chart.setSize({ width: Math.max(200, element.clientWidth), height: HEIGHT }),
    );
    watch.observe(element);
    return () => {
      dark.removeEventListener("change", again);
      watch.disconnect();
      chart.destroy();
    };
  }, [text, JSON.stringify(range)]);
  return html`<div class="chart" role="img" aria-label=${summary} ref=${place}></div>`;
}
