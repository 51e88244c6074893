// SPDX-License-Identifier: GPL-2.0-or-later

//! The report's chart: for each variant the time that virtio_test took, with its
//! spread, and the instructions for a buffer.

use anyhow::Result;
use testkit::chart::{Colour, Content, Group, Panel, svg};
use testkit::stats::Spread;

use crate::report::Report;
use crate::variants::{Column, VARIANTS};

/// In the order of [`VARIANTS`].
const COLOURS: [Colour; 5] = [
    Colour(0x6e, 0x76, 0x81),
    Colour(0x9a, 0xa1, 0xab),
    Colour(0x1f, 0x5f, 0xa8),
    Colour(0x8d, 0xb6, 0xe3),
    Colour(0xc8, 0xcd, 0xd3),
];

pub fn chart(report: &Report) -> Result<String> {
    let legend: Vec<_> = VARIANTS.iter().map(|v| v.title).zip(COLOURS).collect();
    let title = "virtio_test with each ring (less is better)";
    let rows = [
        Panel {
            title: "elapsed seconds; a variant that failed has no bar".into(),
            content: Content::Bars(groups(report, &[("", time)]), Some(2)),
        },
        Panel {
            title: "instructions for a buffer: add, kick, get; by callgrind".into(),
            content: Content::Bars(
                groups(
                    report,
                    &[
                        (", split", |c| Spread::of([c.split.all()])),
                        (", packed", |c| Spread::of([c.packed.all()])),
                    ],
                ),
                Some(0),
            ),
        },
    ];
    svg(title, &legend, &rows.map(|panel| vec![panel]))
}

/// What a bar shows, and what its group's label says of it.
type Value = (&'static str, fn(&Column) -> Option<Spread>);

fn groups(report: &Report, values: &[Value]) -> Vec<Group> {
    let kernels = report.kernels.iter();
    let group = |(kernel, columns): &(_, Vec<Column>), (suffix, value): &Value| Group {
        label: vec![format!("Linux {kernel}{suffix}")],
        bars: columns
            .iter()
            .zip(COLOURS)
            .filter_map(|(column, colour)| Some((value(column)?, colour)))
            .collect(),
    };
    kernels
        .flat_map(|kernel| values.iter().map(move |value| group(kernel, value)))
        .collect()
}

fn time(column: &Column) -> Option<Spread> {
    let side = column.runs.shown();
    side.spread().filter(|_| side.ok())
}
