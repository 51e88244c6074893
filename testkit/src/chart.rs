// SPDX-License-Identifier: GPL-2.0-or-later

//! Charts as SVG: bars and lines with their quartiles.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::stats::Spread;

/// Red, green and blue.
pub use plotters::style::RGBColor as Colour;

/// One part of a chart, under its title.
pub struct Panel {
    pub title: String,
    pub content: Content,
}

pub enum Content {
    /// Groups of bars. With a number of decimals, each bar's value is written
    /// above it.
    Bars(Vec<Group>, Option<usize>),
    /// Lines over an axis of powers of two.
    Lines(Vec<(Colour, Vec<(f64, Spread)>)>),
}

pub struct Group {
    /// In lines.
    pub label: Vec<String>,
    pub bars: Vec<(Spread, Colour)>,
}

const WIDTH: i32 = 960;
const HEAD: i32 = 56;
const PANEL: i32 = 310;
const MARGIN: i32 = 40;
const GREY: Colour = Colour(0xa0, 0xa0, 0xa0);
/// What the highest median leaves above it. Quartiles of a disturbed machine may
/// be far above; they end there.
const ROOM: f64 = 1.2;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

/// Rows of panels under a title and a legend.
pub fn svg(title: &str, legend: &[(&str, Colour)], rows: &[Vec<Panel>]) -> Result<String> {
    let mut svg = String::new();
    let height = HEAD + PANEL * rows.len() as i32;
    {
        let size = (WIDTH as u32, height as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&root, title, legend, rows).map_err(|error| anyhow!("the chart: {error}"))?;
    }
    Ok(svg)
}

fn draw(root: &Area, title: &str, legend: &[(&str, Colour)], rows: &[Vec<Panel>]) -> Drawn {
    root.fill(&WHITE)?;
    let (head, rest) = root.split_vertically(HEAD);
    head.draw_text(title, &text(16), (MARGIN, 8))?;
    let mut x = MARGIN;
    for (name, colour) in legend {
        head.draw(&Rectangle::new([(x, 36), (x + 12, 48)], colour.filled()))?;
        head.draw_text(name, &text(13), (x + 18, 36))?;
        x += 40 + 7 * name.len() as i32;
    }
    for (area, panels) in rest.split_evenly((rows.len(), 1)).iter().zip(rows) {
        for (area, panel) in area.split_evenly((1, panels.len())).iter().zip(panels) {
            match &panel.content {
                Content::Bars(groups, decimals) => bars(area, &panel.title, groups, *decimals)?,
                Content::Lines(lines) => self::lines(area, &panel.title, lines)?,
            }
        }
    }
    Ok(())
}

fn bars(area: &Area, title: &str, groups: &[Group], decimals: Option<usize>) -> Drawn {
    let all = groups.iter().flat_map(|group| &group.bars);
    let top = top(all.map(|(value, _)| value));
    let mut chart = ChartBuilder::on(area)
        .caption(title, text(14))
        .margin_left(MARGIN - 30)
        .margin_right(MARGIN)
        .y_label_area_size(34)
        .x_label_area_size(44)
        .build_cartesian_2d(0.0..groups.len() as f64, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(WHITE)
        .y_label_formatter(&|y| label(*y, top))
        .y_label_style(text(12))
        .axis_style(GREY)
        .draw()?;
    let most = groups.iter().map(|group| group.bars.len()).max();
    let width = 0.9 / most.unwrap_or(1) as f64;
    let centred = |vertical| text(12).pos(Pos::new(HPos::Center, vertical));
    let (left, up) = area.get_base_pixel();
    for (i, Group { label, bars }) in groups.iter().enumerate() {
        let middle = i as f64 + 0.5;
        for (k, (value, colour)) in bars.iter().enumerate() {
            let from = middle + width * (k as f64 - bars.len() as f64 / 2.0);
            let corners = [(from, 0.0), (from + width * 0.9, value.median)];
            chart.draw_series([Rectangle::new(corners, colour.filled())])?;
            let centre = from + width * 0.45;
            chart.draw_series([whisker(centre, value, top, BLACK)])?;
            if let Some(decimals) = decimals {
                let at = (centre, value.high.max(value.median).min(top));
                let (x, y) = chart.backend_coord(&at);
                let number = format!("{:.decimals$}", value.median);
                area.draw_text(&number, &centred(VPos::Bottom), (x - left, y - up - 3))?;
            }
        }
        let (x, y) = chart.backend_coord(&(middle, 0.0));
        for (line, words) in (0..).zip(label) {
            area.draw_text(
                words,
                &centred(VPos::Top),
                (x - left, y - up + 8 + 15 * line),
            )?;
        }
    }
    Ok(())
}

fn lines(area: &Area, title: &str, lines: &[(Colour, Vec<(f64, Spread)>)]) -> Drawn {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let top = top(points().map(|(_, value)| value));
    let first = points().map(|(x, _)| x.log2()).fold(f64::MAX, f64::min);
    let last = points().map(|(x, _)| x.log2()).fold(first + 1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, text(14))
        .margin_left(MARGIN - 30)
        .margin_right(MARGIN)
        .y_label_area_size(34)
        .x_label_area_size(30)
        .build_cartesian_2d(first..last, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(14)
        .x_label_formatter(&|x| format!("{:.0}", x.exp2()))
        .y_label_formatter(&|y| label(*y, top))
        .x_label_style(text(12))
        .y_label_style(text(12))
        .axis_style(GREY)
        .draw()?;
    for (colour, points) in lines {
        let at = |(x, value): &(f64, Spread)| (x.log2(), value.median);
        let line = LineSeries::new(points.iter().map(at), colour.stroke_width(2));
        chart.draw_series(line)?;
        let dot = |point| Circle::new(at(point), 3, colour.filled());
        chart.draw_series(points.iter().map(dot))?;
        let quartiles = |(x, value): &(f64, Spread)| whisker(x.log2(), value, top, *colour);
        chart.draw_series(points.iter().map(quartiles))?;
    }
    Ok(())
}

/// Where the axis of these ends.
fn top<'a>(values: impl Iterator<Item = &'a Spread>) -> f64 {
    let highest = values.map(|value| value.median).fold(0.0, f64::max);
    // With nothing to show, some axis.
    if highest > 0.0 { highest * ROOM } else { 1.0 }
}

fn label(y: f64, top: f64) -> String {
    let decimals = if top < 5.0 { 1 } else { 0 };
    format!("{y:.decimals$}")
}

fn whisker(x: f64, value: &Spread, top: f64, colour: Colour) -> PathElement<(f64, f64)> {
    PathElement::new([(x, value.low.min(top)), (x, value.high.min(top))], colour)
}

fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_text_style(&(1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_there() {
        let value = |value| Spread::of([value]).unwrap();
        let bars = vec![Group {
            label: vec!["a group".into()],
            bars: vec![(value(1.25), BLACK)],
        }];
        let lines = vec![(BLACK, vec![(16.0, value(3.0)), (256.0, value(4.0))])];
        let panel = |title: &str, content| Panel {
            title: title.into(),
            content,
        };
        let rows = [
            vec![panel("times", Content::Bars(bars, Some(2)))],
            vec![
                panel("sizes", Content::Lines(lines)),
                panel("nothing", Content::Bars(Vec::new(), None)),
            ],
        ];
        let chart = svg("all", &[("us", BLACK)], &rows).unwrap();
        for text in ["all", "us", "times", "a group", "1.25", "256", "nothing"] {
            assert!(
                chart.contains(&format!(">\n{text}\n<")),
                "{text} in {chart}"
            );
        }
    }
}
