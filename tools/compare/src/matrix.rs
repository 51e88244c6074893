// SPDX-License-Identifier: GPL-2.0-or-later

//! Which tests are run, with which options, on which build of which kernel.

use std::fmt;

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kernel {
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    /// 6.19 or later
    #[value(name = "mainline")]
    Mainline,
}

impl Kernel {
    /// Those that are fetched. The other one is there if KERNEL_SRC names it.
    pub const ALL: [Kernel; 2] = [Kernel::V6_1, Kernel::V6_12];

    pub fn version(self) -> &'static str {
        match self {
            Kernel::V6_1 => "6.1",
            Kernel::V6_12 => "6.12",
            Kernel::Mainline => "mainline",
        }
    }

    /// Our pkg-config file for programs with this kernel's structures.
    pub fn package(self) -> &'static str {
        match self {
            Kernel::V6_1 | Kernel::V6_12 => "virtio_ring",
            Kernel::Mainline => "virtio_ring-mainline",
        }
    }

    /// Is there a wrap counter series for it, and so a report?
    pub fn has_series(self) -> bool {
        self != Kernel::Mainline
    }

    /// The test programs that this kernel's own Makefile has.
    pub fn tests(self) -> &'static [Test] {
        match self {
            Kernel::V6_1 => &[Test::Virtio, Test::Vringh],
            Kernel::V6_12 | Kernel::Mainline => &[Test::Virtio, Test::Vringh, Test::VhostNet],
        }
    }
}

/// How the ring gets into the test program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A shared object.
    Dynamic,
    /// A static library.
    Static,
    /// One object, `virtio_ring.o`, linked by the kernel's own Makefile.
    Object,
}

impl Way {
    pub const ALL: [Way; 3] = [Way::Dynamic, Way::Static, Way::Object];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    Virtio,
    /// virtio_test inside our virtio_test_wrap.c.
    VirtioWrap,
    Vringh,
    VhostNet,
}

impl Test {
    /// The name of the program, and of its main object.
    pub fn program(self) -> &'static str {
        match self {
            Test::Virtio => "virtio_test",
            Test::VirtioWrap => "virtio_test_wrap",
            Test::Vringh => "vringh_test",
            Test::VhostNet => "vhost_net_test",
        }
    }

    /// Whose test it is.
    pub fn upstream(self) -> &'static str {
        match self {
            Test::VirtioWrap => Test::Virtio.program(),
            _ => self.program(),
        }
    }

    pub fn needs_device(self) -> bool {
        matches!(self, Test::Virtio | Test::VirtioWrap)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Run,
    /// Build and link only.
    Link,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub kernel: Kernel,
    pub way: Way,
    pub test: Test,
    pub action: Action,
    pub options: Vec<&'static str>,
}

impl Row {
    /// With these options; virtio_test inside ours is told to count wraps.
    pub fn run(kernel: Kernel, way: Way, test: Test, options: &'static str) -> Row {
        let wrap = (test == Test::VirtioWrap).then_some(WRAP);
        Row {
            kernel,
            way,
            test,
            action: Action::Run,
            options: options.split_whitespace().chain(wrap).collect(),
        }
    }

    fn link(kernel: Kernel, way: Way, test: Test) -> Row {
        Row {
            kernel,
            way,
            test,
            action: Action::Link,
            options: Vec::new(),
        }
    }

    /// The options as the table shows them.
    pub fn label(&self) -> String {
        match (self.action, self.options.is_empty(), self.test) {
            (Action::Link, ..) => "(build)".into(),
            (Action::Run, true, Test::Vringh) => "plain".into(),
            (Action::Run, true, _) => "default".into(),
            (Action::Run, false, _) => self.options.join(" "),
        }
    }

    /// What `--only` looks in.
    fn title(&self) -> String {
        format!("{} {}", self.test.upstream(), self.label())
    }

    fn is_short(&self) -> bool {
        let name = format!("{} {}", self.way, self.title());
        self.action == Action::Link || SHORT.contains(&name.as_str())
    }

    fn wanted(&self, only: &[String]) -> bool {
        only.is_empty() || only.iter().any(|p| self.title().contains(p.as_str()))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kernel, self.way, self.title())
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.version())
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Way::Dynamic => "dynamic",
            Way::Static => "static",
            Way::Object => "object",
        })
    }
}

/// What vringh_test's main() can tell apart.  It ignores `--slow-range` with
/// `--fast-vringh`, which reads the ring by itself.
const VRINGH: [&str; 15] = [
    "",
    "--indirect",
    "--eventidx",
    "--virtio-1",
    "--indirect --eventidx",
    "--indirect --virtio-1",
    "--eventidx --virtio-1",
    "--indirect --eventidx --virtio-1",
    "--slow-range",
    "--slow-range --indirect --eventidx --virtio-1",
    "--parallel",
    "--parallel --eventidx",
    "--parallel --indirect --eventidx --virtio-1",
    "--parallel --fast-vringh",
    "--parallel --fast-vringh --eventidx",
];

/// virtio_test resets its queue each time that the number of buffers has about
/// doubled, so N = 1 resets most often (some 20 times).
const VIRTIO: [&str; 8] = [
    "",
    "--no-event-idx",
    "--no-indirect",
    "--delayed-interrupt",
    "--batch=random",
    "--batch=256",
    "--reset=1",
    "--reset=1 --batch=random",
];

const WRAP: &str = "--wrap-counters";

/// The runs of the short form, which links all that the full one links.
const SHORT: [&str; 12] = [
    "dynamic vringh_test plain",
    "dynamic vringh_test --indirect --eventidx --virtio-1",
    "dynamic vringh_test --slow-range --indirect --eventidx --virtio-1",
    "dynamic vringh_test --parallel --eventidx",
    "dynamic vringh_test --parallel --fast-vringh --eventidx",
    "dynamic virtio_test default",
    "dynamic virtio_test --no-event-idx",
    "dynamic virtio_test --reset=1 --batch=random",
    "dynamic virtio_test --wrap-counters",
    "dynamic virtio_test --reset=1 --batch=random --wrap-counters",
    "static vringh_test plain",
    "object vringh_test plain",
];

/// The whole matrix or its short form, narrowed to kernels and patterns.
pub fn rows(kernels: &[Kernel], short: bool, only: &[String]) -> Vec<Row> {
    let all = kernels.iter().flat_map(|&kernel| full_form(kernel));
    all.filter(|row| !short || row.is_short())
        .filter(|row| row.wanted(only))
        .collect()
}

fn full_form(kernel: Kernel) -> Vec<Row> {
    let some = |way, test, lists: &[&'static str]| some(kernel, way, test, lists);
    let mut rows = some(Way::Dynamic, Test::Vringh, &VRINGH);
    rows.extend(some(Way::Dynamic, Test::Virtio, &VIRTIO));
    rows.extend(some(Way::Dynamic, Test::VirtioWrap, &VIRTIO));
    for way in [Way::Static, Way::Object] {
        rows.extend(some(way, Test::Vringh, &["", "--parallel"]));
        rows.extend(some(way, Test::Virtio, &["", "--reset=1"]));
    }
    rows.extend(link_rows(kernel));
    rows
}

/// A row for each list of options.
fn some(kernel: Kernel, way: Way, test: Test, lists: &[&'static str]) -> Vec<Row> {
    let row = |options: &&'static str| Row::run(kernel, way, test, options);
    lists.iter().map(row).collect()
}

/// vhost_net_test needs a device of the kernel's and is only linked; what the
/// kernel's own Makefile makes of its programs is shown in any case.
fn link_rows(kernel: Kernel) -> Vec<Row> {
    let mut rows = Vec::new();
    for way in Way::ALL {
        for &test in kernel.tests() {
            if way == Way::Object || test == Test::VhostNet {
                rows.push(Row::link(kernel, way, test));
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(patterns: &[&str]) -> Vec<Row> {
        let patterns: Vec<String> = patterns.iter().map(|p| p.to_string()).collect();
        rows(&Kernel::ALL, false, &patterns)
    }

    #[test]
    fn patterns_look_at_test_and_options() {
        for row in only(&["vringh_test --parallel"]) {
            assert_eq!(row.test, Test::Vringh);
            assert_eq!(row.options[0], "--parallel");
        }
        assert_eq!(only(&["vringh_test plain"]).len(), 6);
        assert_eq!(only(&["no such row"]).len(), 0);
    }

    #[test]
    fn short_form_has_all_of_its_rows() {
        for kernel in Kernel::ALL {
            let short = rows(&[kernel], true, &[]);
            let runs = short.iter().filter(|row| row.action == Action::Run);
            assert_eq!(runs.count(), SHORT.len());
        }
    }
}
