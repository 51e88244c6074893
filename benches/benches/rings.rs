// SPDX-License-Identifier: GPL-2.0-or-later
//! `cargo bench -p ring-benches`: the eight main rows by criterion, one ring
//! after the other, some four minutes. For a change's effect on this ring, which
//! criterion shows against its last run; `make bench` compares rings.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ring_benches::rows::{self, Group};
use ring_benches::subjects;

const NAMES: [&str; 5] = [
    "this ring",
    "C 6.1 -O2",
    "C 6.1 -O3",
    "virtio-drivers",
    "virtio-driver",
];

fn rings(criterion: &mut Criterion) {
    let subjects = subjects::all().expect("the rings");
    let rows = rows::all().into_iter().filter(|r| r.group == Group::Main);
    for row in rows {
        let mut group = criterion.benchmark_group(row.to_string());
        group.throughput(Throughput::Elements(row.work.batch.into()));
        for name in NAMES {
            let subject = subjects.iter().find(|subject| subject.name == name);
            let subject = subject.expect("a subject's name");
            if let Some(mut run) = (subject.make)(&row).expect("a queue") {
                // An iteration is a batch, there and back.
                group.bench_function(name, |bencher| bencher.iter_custom(&mut run));
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    targets = rings
}
criterion_main!(benches);
