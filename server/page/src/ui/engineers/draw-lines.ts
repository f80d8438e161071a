import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

/** Draws losses by their steps, in the colours of the page. */
export function drawLines(place: HTMLElement, losses: readonly number[], height: number): { destroy(): void } {
  const colours = getComputedStyle(place);
  const colour = (name: string) => colours.getPropertyValue(name).trim();
  const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  const chart = new uPlot(
    {
      width: Math.max(200, place.clientWidth),
      height,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.05 : 1] } },
      axes: [
        { ...axis, label: 'step', labelSize: 20, size: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
        { ...axis, size: 64 },
      ],
      series: [
        {},
        {
          stroke: colour('--accent'),
          width: 2.5,
          points: { show: losses.length < 60, size: 6, fill: colour('--accent') },
        },
      ],
    },
    [losses.map((_, i) => i + 1), [...losses]],
    place,
  );
  const resized = new ResizeObserver(() => chart.setSize({ width: Math.max(200, place.clientWidth), height }));
  resized.observe(place);
  return {
    destroy() {
      resized.disconnect();
      chart.destroy();
    },
  };
}
