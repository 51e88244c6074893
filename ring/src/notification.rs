// SPDX-License-Identifier: GPL-2.0-or-later
//! Notification rules (virtio 1.3, 2.7.7, 2.7.10 and 2.8.10).

/// Available ring flag: the driver does not want interrupts (2.7.6).
pub const NO_INTERRUPT: u16 = 1;

/// Used ring flag: the device does not want notifications (2.7.8).
pub const NO_NOTIFY: u16 = 1;

/// Flags of an event suppression structure (2.8.10): always notify.
pub const ENABLE: u16 = 0;
/// Never notify.
pub const DISABLE: u16 = 1;
/// Notify at a specific descriptor.
pub const DESC: u16 = 2;

/// The wrap counter's bit beside an event suppression structure's offset (2.8.14).
pub const WRAP: u16 = 1 << 15;

/// Did an index that went from `old` to `new` pass `event` (2.7.10.1)?
///
/// All three are modulo 2^16. The event was passed if the distance from it to `new`
/// is less than the distance from `old` to `new`.
pub fn passed(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// Three quarters of `buffers`: how many the device may use before a delayed
/// callback. Multiplies before it divides, as C does.
pub fn delayed(buffers: u16) -> u16 {
    (u32::from(buffers) * 3 / 4) as u16
}
