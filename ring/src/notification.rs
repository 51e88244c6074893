// SPDX-License-Identifier: GPL-2.0-or-later
//! Notification rules (virtio 1.3, 2.7.7, 2.7.10 and 2.8.10).

/// Available ring flag: the driver wants no interrupts (2.7.6).
pub const NO_INTERRUPT: u16 = 1;

/// Used ring flag: the device wants no notifications (2.7.8).
pub const NO_NOTIFY: u16 = 1;

/// Event suppression structure's flags (2.8.10): notify always.
pub const ENABLE: u16 = 0;
/// Notify never.
pub const DISABLE: u16 = 1;
/// Notify at a descriptor.
pub const DESC: u16 = 2;

/// Bit of the wrap counter beside an offset (2.8.10).
pub const WRAP: u16 = 1 << 15;

/// Did an index that went from `old` to `new` pass `event` (2.7.7.2)?
///
/// All three run modulo 2^16: the event was passed when fewer steps lie
/// between it and `new` than `new` has gone.
pub fn passed(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// Three quarters of `buffers`: how many the device may use before a delayed
/// callback. As C's arithmetic, which multiplies first.
pub fn delayed(buffers: u16) -> u16 {
    (u32::from(buffers) * 3 / 4) as u16
}
