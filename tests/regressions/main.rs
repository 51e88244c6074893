// SPDX-License-Identifier: GPL-2.0-or-later
//! Faults that were found in other rings: a test for each, on both layouts
//! where both could have it.
//!
//! | found in | test |
//! |---|---|
//! | C 6.1 and 6.12: NEXT flags read back | [`hostile`] |
//! | kernel, 2020: poll true on a broken queue | [`broken`] |
//! | kernel 40ce7919d873: stall of the packed delayed callback | [`callbacks`] |
//! | kernel a7722890fdfb: torn position in an interrupt | [`callbacks`] |
//! | kernel 1acfe2c12258, DPDK a4270ea4ff: the ring's end in add | [`chains`] |
//! | kernel 1861ba626ae9: no memory for an indirect table | [`chains`] |
//! | kernel 8d622d21d248: event_triggered | [`callbacks`] |
//! | kernel, reverted: length checks | [`hostile`] |
//! | openvmm 3990: a chain of exactly num | [`chains`] |
//! | openvmm 4267, hermit 1274: event windows and chains | [`kicks`] |
//! | rcore virtio-drivers 121: kicks at the 16-bit wrap | [`kicks`] |
//! | rcore virtio-drivers 125: loads optimised away | [`callbacks`] |
//! | MigTD 986, zephyr 113343, OSv 1450, virtio-driver: ids | [`broken`] |
//! | MigTD 989 and 996: addresses read back | [`hostile`] |
//!
//! Mapping errors in mid-chain can't be brought about from C: see
//! `ring/src/tests/unmapped.rs`. The orderings that vm-virtio 18 and others
//! missed: `ring/src/tests/publication.rs`.

mod broken;
mod callbacks;
mod chains;
mod hostile;
mod kicks;

/// Runs a generic check on both layouts.
macro_rules! on_both {
    ($name:ident, $check:ident) => {
        mod $name {
            #[test]
            fn split() {
                super::$check(false);
            }

            #[test]
            fn packed() {
                super::$check(true);
            }
        }
    };
}
use on_both;
