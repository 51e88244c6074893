// SPDX-License-Identifier: GPL-2.0-or-later
//! The picture: what a buffer costs, and how that grows with the ring.

use anyhow::{Result, anyhow};
use counts::Work;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::Measured;
use crate::rows::Group;
use crate::stats::Spread;
use crate::subjects::{OURS, REFERENCE};

/// Who is in it, in which colour.
const RINGS: [(&str, RGBColor); 5] = [
    (REFERENCE, RGBColor(0x7f, 0x7f, 0x7f)),
    ("C 6.12", RGBColor(0xb8, 0xb8, 0xb8)),
    ("virtio-drivers", RGBColor(0xe3, 0xa8, 0x57)),
    ("virtio-driver", RGBColor(0xc4, 0x78, 0x5a)),
    (OURS, RGBColor(0x1f, 0x77, 0xb4)),
];

const FONT: &str = "sans-serif";
const WIDTH: u32 = 960;
const MARGIN: i32 = 40;
const GREY: RGBColor = RGBColor(0xa0, 0xa0, 0xa0);

/// As SVG. Panels whose rows were not measured are left out.
pub fn chart(measured: &[Measured]) -> Result<String> {
    let of = |group| {
        measured
            .iter()
            .filter(|m| m.row.group == group)
            .collect::<Vec<_>>()
    };
    let (main, sizes) = (of(Group::Main), of(Group::Sizes));
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, 680)).into_drawing_area();
        draw(&root, &main, &sizes).map_err(|error| anyhow!("the chart: {error}"))?;
    }
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn draw(root: &Area, main: &[&Measured], sizes: &[&Measured]) -> Drawn {
    root.fill(&WHITE)?;
    let (head, rest) = root.split_vertically(56);
    legend(&head)?;
    let (upper, lower) = rest.split_vertically(if sizes.is_empty() { 664 } else { 344 });
    if !main.is_empty() {
        bars(&upper, main)?;
    }
    let (left, right) = lower.split_horizontally(WIDTH as i32 / 2);
    for (area, packed, title) in [(left, false, "split"), (right, true, "packed")] {
        let rows: Vec<_> = sizes
            .iter()
            .filter(|m| m.row.work.packed == packed)
            .collect();
        if !rows.is_empty() {
            lines(&area, &rows, title)?;
        }
    }
    Ok(())
}

fn legend(area: &Area) -> Drawn {
    let title = "Nanoseconds to add, kick and take back one buffer (less is better)";
    area.draw_text(title, &text(16), (MARGIN, 8))?;
    let mut x = MARGIN;
    for (ring, colour) in RINGS {
        area.draw(&Rectangle::new([(x, 36), (x + 12, 48)], colour.filled()))?;
        area.draw_text(ring, &text(13), (x + 18, 36))?;
        x += 40 + 8 * ring.len() as i32;
    }
    Ok(())
}

/// What the highest median leaves above it. Quartiles of a machine that was
/// disturbed may be far above; they end there.
const ROOM: f64 = 1.2;

/// A group of bars for each row, with the quartiles.
fn bars(area: &Area, rows: &[&Measured]) -> Drawn {
    let groups: Vec<Vec<(Spread, RGBColor)>> = rows.iter().map(|row| times(row)).collect();
    let top = highest(groups.iter().flatten().map(|(time, _)| time)) * ROOM;
    let mut chart = ChartBuilder::on(area)
        .margin_left(MARGIN as u32 - 30)
        .margin_right(MARGIN as u32)
        .y_label_area_size(30)
        .x_label_area_size(44)
        .build_cartesian_2d(0.0..rows.len() as f64, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(WHITE)
        .y_label_formatter(&|y| format!("{y:.0}"))
        .y_label_style(text(12))
        .axis_style(GREY)
        .draw()?;
    let width = 0.9 / RINGS.len() as f64;
    for (i, group) in groups.iter().enumerate() {
        let start = i as f64 + 0.5 - width * group.len() as f64 / 2.0;
        for (k, (time, colour)) in group.iter().enumerate() {
            let left = start + k as f64 * width;
            let corners = [(left, 0.0), (left + width * 0.9, time.median)];
            chart.draw_series([Rectangle::new(corners, colour.filled())])?;
            chart.draw_series([whisker(left + width * 0.45, *time, top, BLACK)])?;
        }
    }
    for (i, row) in rows.iter().enumerate() {
        let (x, y) = chart.backend_coord(&(i as f64 + 0.5, 0.0));
        let (left, top) = area.get_base_pixel();
        for (line, words) in (0..).zip(label(&row.row.work)) {
            let style = text(12).pos(Pos::new(HPos::Center, VPos::Top));
            area.draw_text(&words, &style, (x - left, y - top + 8 + 15 * line))?;
        }
    }
    Ok(())
}

/// Two lines.
fn label(work: &Work) -> [String; 2] {
    let layout = if work.packed { "packed" } else { "split" };
    let entries = match (work.entries, work.indirect) {
        (1, _) => "1 entry".into(),
        (n, false) => format!("{n} entries"),
        (n, true) => format!("{n} in a table"),
    };
    [
        format!("{layout}, {entries}"),
        format!("batch {}", work.batch),
    ]
}

/// Of those that can do it, in the order of the legend.
fn times(row: &Measured) -> Vec<(Spread, RGBColor)> {
    let times = RINGS
        .iter()
        .filter_map(|(ring, colour)| Some((row.fastest(ring)?.time(), *colour)));
    times.collect()
}

fn highest<'a>(times: impl Iterator<Item = &'a Spread>) -> f64 {
    times.map(|time| time.median).fold(0.0, f64::max)
}

fn whisker(x: f64, time: Spread, top: f64, colour: RGBColor) -> PathElement<(f64, f64)> {
    PathElement::new([(x, time.low.min(top)), (x, time.high.min(top))], colour)
}

/// A line for each ring: time over size.
fn lines(area: &Area, rows: &[&&Measured], title: &str) -> Drawn {
    let size = |row: &&&Measured| f64::from(row.row.work.size).log2();
    let points = |ring| {
        let points = rows
            .iter()
            .filter_map(|row| Some((size(row), row.fastest(ring)?.time())));
        points.collect::<Vec<_>>()
    };
    let all: Vec<_> = RINGS.iter().flat_map(|(ring, _)| points(ring)).collect();
    let top = highest(all.iter().map(|(_, time)| time)) * ROOM;
    let (first, last) = (
        rows.first().map_or(0.0, size),
        rows.last().map_or(0.0, size),
    );
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{title}, 1 entry, by ring size"), text(14))
        .margin_left(MARGIN as u32 - 30)
        .margin_right(MARGIN as u32)
        .y_label_area_size(30)
        .x_label_area_size(30)
        .build_cartesian_2d(first..last.max(first + 1.0), 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_labels(14)
        .x_label_formatter(&|x| format!("{:.0}", x.exp2()))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_label_style(text(12))
        .y_label_style(text(12))
        .axis_style(GREY)
        .draw()?;
    for (ring, colour) in RINGS {
        let points = points(ring);
        let line = points.iter().map(|(x, time)| (*x, time.median));
        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
        let dots = points.iter();
        chart.draw_series(
            dots.map(|(x, time)| Circle::new((*x, time.median), 3, colour.filled())),
        )?;
        let whiskers = points.iter();
        chart.draw_series(whiskers.map(|(x, time)| whisker(*x, *time, top, colour)))?;
    }
    Ok(())
}

fn text(size: i32) -> TextStyle<'static> {
    (FONT, size).into_text_style(&(1, 1))
}
