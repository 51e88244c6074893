// SPDX-License-Identifier: GPL-2.0-or-later
//! Drives the device through the C library's calls, which the crate defines
//! for this program as it does for one that preloads it. The driver's half of
//! the ring is written by hand.

use libc::{c_int, c_ulong};
use std::io;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::ptr;
use std::time::{Duration, Instant};
use testkit::block::Block;
use testkit::device::{Area, INDIRECT, NEXT, WRITE};
use vhost::vhost_kern::vhost_binding::*;
use vhost_test_device as _;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};
use vmm_sys_util::ioctl_iow_nr;

ioctl_iow_nr!(VHOST_TEST_RUN, VHOST_VIRTIO, 0x31, c_int);
ioctl_iow_nr!(VHOST_TEST_SET_BACKEND, VHOST_VIRTIO, 0x32, c_int);

const NUM: u16 = 8;
const DESC: usize = 0;
const AVAIL: usize = 0x1000;
const USED: usize = 0x2000;
const BUFFER: usize = 0x3000;
const OUTSIDE: usize = 0x4000;
const SIZE: usize = 0x5000;

const EVENT_IDX: u64 = 1 << 29;

/// A ring in memory of its own, on a device of its own. Only the page of
/// [`BUFFER`] is in the memory table.
struct Driver {
    fd: c_int,
    kick: EventFd,
    call: EventFd,
    area: Area,
    _memory: Block,
    avail: u16,
}

impl Driver {
    fn new(features: u64) -> Self {
        let memory = Block::new(SIZE, 0x1000, 0);
        let driver = Self {
            // SAFETY: a string.
            fd: unsafe { libc::open(c"/dev/vhost-test".as_ptr(), libc::O_RDWR) },
            kick: EventFd::new(EFD_NONBLOCK).unwrap(),
            call: EventFd::new(EFD_NONBLOCK).unwrap(),
            // SAFETY: the memory, which the driver keeps.
            area: unsafe { Area::new(memory.base() as u64, SIZE) },
            _memory: memory,
            avail: 0,
        };
        assert!(driver.fd >= 0);
        driver.ok(VHOST_SET_OWNER(), &mut 0);
        let buffer = driver.at(BUFFER);
        driver.ok(VHOST_SET_MEM_TABLE(), &mut [1, buffer, 0x1000, buffer, 0]);
        driver.ok(VHOST_SET_FEATURES(), &mut { features });
        driver.ok(VHOST_SET_VRING_NUM(), &mut state(NUM));
        driver.ok(VHOST_SET_VRING_BASE(), &mut state(0));
        driver.ok(
            VHOST_SET_VRING_ADDR(),
            &mut vhost_vring_addr {
                desc_user_addr: driver.at(DESC),
                avail_user_addr: driver.at(AVAIL),
                used_user_addr: driver.at(USED),
                ..Default::default()
            },
        );
        driver.ok(VHOST_SET_VRING_KICK(), &mut [0, driver.kick.as_raw_fd()]);
        driver.ok(VHOST_SET_VRING_CALL(), &mut [0, driver.call.as_raw_fd()]);
        driver
    }

    fn running(features: u64) -> Self {
        let driver = Self::new(features);
        driver.run(1);
        driver
    }

    fn ioctl<T>(&self, request: c_ulong, arg: &mut T) -> Result<(), c_int> {
        // SAFETY: `arg` is what `request` takes, and the ring stays mapped.
        match unsafe { libc::ioctl(self.fd, request as _, ptr::from_mut(arg)) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error().raw_os_error().unwrap()),
        }
    }

    #[track_caller]
    fn ok<T>(&self, request: c_ulong, arg: &mut T) {
        assert_eq!(self.ioctl(request, arg), Ok(()));
    }

    #[track_caller]
    fn fails<T>(&self, request: c_ulong, mut arg: T, errno: c_int) {
        assert_eq!(self.ioctl(request, &mut arg), Err(errno));
    }

    fn run(&self, on: c_int) {
        self.ok(VHOST_TEST_RUN(), &mut { on });
    }

    fn base(&self) -> u32 {
        let mut state = state(0);
        self.ok(VHOST_GET_VRING_BASE(), &mut state);
        state.num
    }

    fn at(&self, offset: usize) -> u64 {
        (self.area.base() + offset) as u64
    }

    fn store(&self, offset: usize, value: u16) {
        self.area.set16(offset, value);
    }

    fn load(&self, offset: usize) -> u16 {
        self.area.get16(offset)
    }

    /// Writes the descriptor at `offset`.
    fn describe(&self, offset: usize, addr: u64, len: u32, flags: u16, next: u16) {
        self.area.set64(offset, addr);
        self.area.set32(offset + 8, len);
        self.store(offset + 12, flags);
        self.store(offset + 14, next);
    }

    /// Makes the chain at `head` available without a word to the device.
    fn offer(&mut self, head: u16) {
        self.store(AVAIL + 4 + 2 * usize::from(self.avail % NUM), head);
        self.avail = self.avail.wrapping_add(1);
        self.store(AVAIL + 2, self.avail);
    }

    fn kick(&self) {
        self.kick.write(1).unwrap();
    }

    /// Sends one descriptor in the buffer's page.
    fn send(&mut self) {
        self.describe(DESC, self.at(BUFFER), 64, 0, 0);
        self.offer(0);
        self.kick();
    }

    fn send_and_wait(&mut self) {
        self.send();
        self.wait();
    }

    #[track_caller]
    fn wait(&self) {
        self.until("a used buffer", || self.load(USED + 2) == self.avail);
    }

    #[track_caller]
    fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(10), "no {what}");
            std::thread::yield_now();
        }
    }

    /// How often the driver was called since the last time. The device has
    /// done with the ring by then, as another ioctl had to wait for it.
    fn calls(&self) -> u64 {
        self.base();
        self.call.read().unwrap_or_else(|error| {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            0
        })
    }

    /// The device takes nothing of what was offered, and of nothing after it.
    #[track_caller]
    fn is_stopped(&mut self) {
        self.kick();
        // A ring that the device has done with asks for kicks, unless it was
        // given up. An ioctl waits for the device to be done.
        self.until("stop", || {
            self.base();
            self.load(USED) == 1
        });
        self.base();
        let used = self.load(USED + 2);
        self.send();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(self.load(USED + 2), used);
        self.run(0);
        assert_eq!(self.base(), u32::from(used));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Before the memory goes.
        // SAFETY: nobody uses the descriptor from here on.
        assert_eq!(unsafe { libc::close(self.fd) }, 0);
    }
}

fn state(num: u16) -> vhost_vring_state {
    let num = num.into();
    vhost_vring_state { index: 0, num }
}

#[test]
fn buffer_is_used_and_signalled() {
    for features in [0, EVENT_IDX] {
        let mut driver = Driver::running(features);
        // A ring's whole round and then some, in chains of two.
        for i in 0..NUM + 3 {
            let (head, next) = (i % NUM, (i + 1) % NUM);
            driver.describe(
                DESC + 16 * usize::from(head),
                driver.at(BUFFER),
                8,
                NEXT,
                next,
            );
            driver.describe(DESC + 16 * usize::from(next), driver.at(BUFFER), 8, 0, 0);
            driver.store(AVAIL + 4 + 2 * usize::from(NUM), i);
            driver.offer(head);
            driver.kick();
            driver.wait();
            let used = USED + 4 + 8 * usize::from(i % NUM);
            assert_eq!([0, 2, 4, 6].map(|o| driver.load(used + o)), [head, 0, 0, 0]);
            assert_eq!(driver.calls(), 1);
        }
    }
}

#[test]
fn flag_suppresses_the_call() {
    let mut driver = Driver::running(0);
    driver.store(AVAIL, 1);
    driver.send_and_wait();
    assert_eq!(driver.calls(), 0);
    driver.store(AVAIL, 0);
    driver.send_and_wait();
    assert_eq!(driver.calls(), 1);
}

#[test]
fn event_index_suppresses_the_call() {
    let mut driver = Driver::running(EVENT_IDX);
    // The flag doesn't count here.
    driver.store(AVAIL, 1);
    driver.store(AVAIL + 4 + 2 * usize::from(NUM), 3);
    driver.send_and_wait();
    assert_eq!(driver.calls(), 1, "the first one is always told");
    for expected in [0, 0, 1, 0] {
        driver.send_and_wait();
        assert_eq!(driver.calls(), expected);
    }
}

#[test]
fn kicks_are_wanted_when_idle() {
    let mut driver = Driver::running(0);
    driver.send_and_wait();
    driver.until("wish for kicks", || driver.load(USED) == 0);

    let mut driver = Driver::running(EVENT_IDX);
    for i in 1..5 {
        driver.send_and_wait();
        let event = USED + 4 + 8 * usize::from(NUM);
        driver.until("event index", || driver.load(event) == i);
    }
}

#[test]
fn indirect_table() {
    let mut driver = Driver::running(0);
    driver.describe(BUFFER, driver.at(BUFFER), 8, NEXT, 1);
    driver.describe(BUFFER + 16, driver.at(BUFFER), 8, 0, 0);
    driver.describe(DESC + 16, driver.at(BUFFER), 32, INDIRECT, 0);
    driver.offer(1);
    driver.kick();
    driver.wait();
    assert_eq!(driver.load(USED + 4), 1);

    driver.describe(OUTSIDE, driver.at(BUFFER), 8, 0, 0);
    driver.describe(DESC + 16, driver.at(OUTSIDE), 16, INDIRECT, 0);
    driver.offer(1);
    driver.is_stopped();
}

#[test]
fn what_stops_the_queue() {
    let outside = Driver::running(0);
    outside.describe(DESC, outside.at(OUTSIDE), 8, 0, 0);
    let straddles = Driver::running(0);
    straddles.describe(DESC, straddles.at(OUTSIDE) - 4, 8, 0, 0);
    let writable = Driver::running(0);
    writable.describe(DESC, writable.at(BUFFER), 8, WRITE, 0);
    let empty = Driver::running(0);
    empty.describe(DESC, empty.at(BUFFER), 0, 0, 0);
    let endless = Driver::running(0);
    endless.describe(DESC, endless.at(BUFFER), 8, NEXT, 0);
    for mut driver in [outside, straddles, writable, empty, endless] {
        driver.offer(0);
        driver.is_stopped();
    }

    let mut no_such_head = Driver::running(0);
    no_such_head.offer(NUM);
    no_such_head.is_stopped();
    let mut too_many = Driver::running(0);
    too_many.avail = NUM;
    too_many.offer(0);
    too_many.is_stopped();
}

#[test]
fn stop_and_start() {
    let mut driver = Driver::running(EVENT_IDX);
    for _ in 0..3 {
        driver.send_and_wait();
    }
    driver.ok(VHOST_TEST_SET_BACKEND(), &mut [0, -1]);
    assert_eq!(driver.base(), 3);
    driver.send();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(driver.load(USED + 2), 3);

    // A ring made anew, with a buffer that nobody announces.
    for offset in (0..BUFFER).step_by(2) {
        driver.store(offset, 0);
    }
    driver.ok(VHOST_SET_VRING_BASE(), &mut state(0));
    driver.avail = 0;
    driver.describe(DESC, driver.at(BUFFER), 64, 0, 0);
    driver.offer(0);
    driver.ok(VHOST_TEST_SET_BACKEND(), &mut [0, 1]);
    driver.wait();
    driver.run(0);
    assert_eq!(driver.base(), 1);

    // Where it was stopped is where it goes on.
    driver.send();
    driver.run(1);
    driver.wait();
    driver.send_and_wait();

    driver.ok(VHOST_RESET_OWNER(), &mut 0);
    driver.fails(VHOST_TEST_RUN(), 1, libc::EPERM);
}

#[test]
fn errors() {
    let driver = Driver::running(0);
    driver.fails(VHOST_SET_OWNER(), 0, libc::EBUSY);
    driver.fails(VHOST_SET_VRING_NUM(), state(NUM), libc::EBUSY);
    driver.fails(VHOST_SET_VRING_BASE(), state(0), libc::EBUSY);
    driver.run(0);
    driver.fails(VHOST_SET_VRING_NUM(), state(3), libc::EINVAL);
    driver.fails(VHOST_SET_VRING_NUM(), [1, 4], libc::ENOBUFS);
    driver.fails(VHOST_TEST_SET_BACKEND(), [1, 1], libc::ENOBUFS);
    driver.fails(VHOST_TEST_RUN(), 2, libc::EINVAL);
    driver.fails(VHOST_SET_FEATURES(), 1u64 << 34, libc::EOPNOTSUPP);
    driver.fails(VHOST_SET_VRING_KICK(), [0, 0x7fff_ffff], libc::EBADF);
    driver.fails(VHOST_SET_VRING_CALL(), [0, 2], libc::EINVAL);
    driver.fails(VHOST_SET_MEM_TABLE(), [1u32, 1], libc::EOPNOTSUPP);
    driver.fails(VHOST_SET_MEM_TABLE(), [65u32, 0], libc::E2BIG);
    // SAFETY: the kernel looks at the address, which is nobody's.
    let result = unsafe { libc::ioctl(driver.fd, VHOST_GET_FEATURES() as _, 8) };
    assert_eq!(result, -1);
    assert_eq!(
        io::Error::last_os_error().raw_os_error(),
        Some(libc::EFAULT)
    );
    let mut nowhere = vhost_vring_addr::default();
    driver.ok(VHOST_SET_VRING_ADDR(), &mut nowhere);
    driver.fails(VHOST_TEST_RUN(), 1, libc::EFAULT);
    nowhere.used_user_addr = 2;
    driver.fails(VHOST_SET_VRING_ADDR(), nowhere, libc::EINVAL);
}

#[test]
fn unknown_ioctl() {
    const ARGUMENT: &str = "unknown_ioctl";
    const VARIABLE: &str = "VHOST_TEST_DEVICE_CHILD";
    if std::env::var_os(VARIABLE).is_some() {
        let driver = Driver::new(0);
        return driver.fails(0x4008_af99, 0u64, libc::ENOTTY);
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", ARGUMENT])
        .env(VARIABLE, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "vhost-test-device: ioctl 0x4008af99: unknown\n");
}

#[test]
fn other_files_are_left_alone() {
    let [mut one, mut two] = [Driver::running(0), Driver::running(0)];
    assert_ne!(one.fd, two.fd);
    one.send_and_wait();
    two.send_and_wait();
    let fd = one.fd;
    drop(one);
    two.send_and_wait();
    // SAFETY: no memory is passed.
    unsafe {
        assert_eq!(libc::ioctl(fd, VHOST_SET_OWNER() as _, 0), -1);
        assert_eq!(libc::open(c"/dev/vhost-tes".as_ptr(), libc::O_RDWR), -1);
    }
    let mut size: c_int = -1;
    // SAFETY: an integer, as FIONREAD takes it.
    let result = unsafe {
        let stream = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
        libc::ioctl(stream, libc::FIONREAD, &raw mut size)
    };
    assert_eq!((result, size), (0, 0));
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap();
    assert!(manifest.contains("vhost-test-device"));
}
