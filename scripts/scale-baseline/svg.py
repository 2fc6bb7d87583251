"""
A line chart as SVG: bytes that depend on its figures alone, colours that can be read
on a light and on a dark page.
"""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 40, 50
STYLE = """text { font: 13px sans-serif; fill: #24292f }
.grid { stroke: #d0d7de }
.s0 { stroke: #0550ae; fill: #0550ae } .s1 { stroke: #9a3412; fill: #9a3412 }
.s2 { stroke: #166534; fill: #166534 } .s3 { stroke: #7e22ce; fill: #7e22ce }
polyline { fill: none; stroke-width: 2 }
text.s0, text.s1, text.s2, text.s3 { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.grid { stroke: #444c56 }
.s0 { stroke: #79c0ff; fill: #79c0ff } .s1 { stroke: #ffa657; fill: #ffa657 }
.s2 { stroke: #7ee787; fill: #7ee787 } .s3 { stroke: #d2a8ff; fill: #d2a8ff }
polyline { fill: none }
}"""
SERIES_MOST = 4


def steps(highest):
    """Values of the upright axis from 0: at most six, of 1, 2 or 5 times a power of ten."""
    rough = highest / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return [step * i for i in range(math.ceil(highest / step) + 1)]


def short(value):
    for size, word in ((1_000_000, " M"), (1000, " k")):
        if value >= size:
            return f"{value / size:g}{word}"
    return f"{value:.6g}"


def chart(title, unit, series):
    """series: [(name, [(x, y)])], x and y above 0; x is drawn by its logarithm."""
    assert 1 <= len(series) <= SERIES_MOST
    xs = sorted({x for _, points in series for x, _ in points})
    ticks = steps(max(y for _, points in series for _, y in points))
    low, high = math.log10(xs[0]), math.log10(xs[-1])

    def at_x(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * (0.5 if high == low else (math.log10(x) - low) / (high - low))

    def at_y(y):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / ticks[-1]

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
           f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", f'<text x="{LEFT}" y="22">{escape(title)}, {escape(unit)}</text>']
    for tick in ticks:
        y = f"{at_y(tick):.1f}"
        out += [f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>',
                f'<text x="{LEFT - 8}" y="{at_y(tick) + 4:.1f}" text-anchor="end">{short(tick)}</text>']
    for x in xs:
        out.append(f'<text x="{at_x(x):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{short(x)}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.1f}" y="{HEIGHT - 8}" text-anchor="middle">certificates</text>')
    # Names of lines that end close together stand one below the other.
    names, before = {}, None
    for _, i in sorted((at_y(sorted(points)[-1][1]), i) for i, (_, points) in enumerate(series)):
        y = at_y(sorted(series[i][1])[-1][1]) + 4
        names[i] = before = y if before is None else max(y, before + 16)
    for i, (name, points) in enumerate(series):
        line = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in sorted(points))
        out.append(f'<polyline class="s{i}" points="{line}"/>')
        out += [f'<circle class="s{i}" cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3"/>' for x, y in sorted(points)]
        out.append(f'<text class="s{i}" x="{WIDTH - RIGHT + 8}" y="{names[i]:.1f}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
