// SPDX-License-Identifier: GPL-2.0-or-later
//! The picture: what a buffer costs, and how that grows with the ring.

use anyhow::Result;
use counts::Work;
use testkit::chart::{Colour, Content, Group as Bars, Panel, svg};

use crate::report::Measured;
use crate::rows::Group;
use crate::subjects::{OURS, REFERENCE};

/// Who is in it, in which colour.
const RINGS: [(&str, Colour); 5] = [
    (REFERENCE, Colour(0x7f, 0x7f, 0x7f)),
    ("C 6.12", Colour(0xb8, 0xb8, 0xb8)),
    ("virtio-drivers", Colour(0xe3, 0xa8, 0x57)),
    ("virtio-driver", Colour(0xc4, 0x78, 0x5a)),
    (OURS, Colour(0x1f, 0x77, 0xb4)),
];

/// As SVG. Panels whose rows were not measured are left out.
pub fn chart(measured: &[Measured]) -> Result<String> {
    let of = |group| measured.iter().filter(move |m| m.row.group == group);
    let layouts = [(false, "split"), (true, "packed")];
    let drivers = layouts.into_iter().filter_map(|(packed, layout)| {
        let rows = of(Group::Drivers).filter(|m| m.row.work.packed == packed);
        let rows: Vec<_> = rows.filter_map(driver).collect();
        let title = format!("what the kernel's drivers do, {layout}: time in percent of C 6.1's");
        let content = Content::Bars(rows, Some(0));
        matches!(&content, Content::Bars(rows, _) if !rows.is_empty())
            .then(|| vec![Panel { title, content }])
    });
    let main: Vec<_> = of(Group::Main).map(bars).collect();
    let main = (!main.is_empty()).then(|| Panel {
        title: "driver and device in one loop".into(),
        content: Content::Bars(main, None),
    });
    let sizes = layouts.into_iter().filter_map(|(packed, layout)| {
        let rows = of(Group::Sizes).filter(|m| m.row.work.packed == packed);
        lines(rows.collect(), layout)
    });
    let mut panels: Vec<Vec<Panel>> = drivers.collect();
    panels.extend([main.into_iter().collect(), sizes.collect()]);
    panels.retain(|row| !row.is_empty());
    let title = "Time to add, kick and take back one buffer: percent of C, and nanoseconds (less is better)";
    svg(title, &RINGS, &panels)
}

/// Of the rings that can do it, in the order of the legend.
fn bars(row: &Measured) -> Bars {
    let bars = RINGS
        .iter()
        .filter_map(|(ring, colour)| Some((row.fastest(ring)?.time, *colour)));
    Bars {
        label: label(&row.row.work).into(),
        bars: bars.collect(),
    }
}

/// A driver's bar, with indirect descriptors where they make a difference, as drivers
/// negotiate them.
fn driver(row: &Measured) -> Option<Bars> {
    let work = &row.row.work;
    if work.entries > 1 && !work.indirect {
        return None;
    }
    let ratio = row.fastest(OURS)?.ratio?.times(100.0);
    let mut label: Vec<_> = row.row.driver.split('-').map(String::from).collect();
    label.push(work.entries.to_string());
    Some(Bars {
        label,
        bars: vec![(ratio, RINGS[4].1)],
    })
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

/// A line for each ring: time over size.
fn lines(rows: Vec<&Measured>, layout: &str) -> Option<Panel> {
    let line = |(ring, colour): &(&str, Colour)| {
        let points = rows
            .iter()
            .filter_map(|m| Some((f64::from(m.row.work.size), m.fastest(ring)?.time)));
        (*colour, points.collect())
    };
    (!rows.is_empty()).then(|| Panel {
        title: format!("{layout}, 1 entry, by ring size"),
        content: Content::Lines(RINGS.iter().map(line).collect()),
    })
}
