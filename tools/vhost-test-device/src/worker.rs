// SPDX-License-Identifier: GPL-2.0-or-later
//! The thread that serves the virtqueue.

use crate::complain;
use crate::queue::Virtqueue;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::env;
use std::error::Error;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// How often to look for a kick before the thread sleeps. To be woken takes
/// many times as long as the next kick does if the driver is busy; and unlike
/// a look at the ring, this hides no kick that the driver forgot.
const LOOKS: u32 = 16;

/// Which CPU the thread is to run on, if that is not left to the scheduler.
const CPU: &str = "VHOST_TEST_DEVICE_CPU";

/// A virtqueue and its thread. The thread ends when this is dropped.
pub struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    kick: Option<EventFd>,
}

struct Shared {
    /// Held by the thread while it uses the ring, so that to hold it is to
    /// know that the thread doesn't.
    queue: Mutex<Virtqueue>,
    epoll: Epoll,
    wake: EventFd,
    quit: AtomicBool,
}

impl Worker {
    /// Starts a thread for `queue`.
    pub fn new(queue: Virtqueue) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            epoll: Epoll::new()?,
            wake: EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?,
            quit: AtomicBool::new(false),
        });
        shared.watch(ControlOperation::Add, &shared.wake)?;
        let thread = Builder::new().name("vhost-test".into()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                if let Ok(cpu) = env::var(CPU)
                    && let Err(error) = pin(&cpu)
                {
                    complain(format_args!("{CPU} is '{cpu}': {error}"));
                }
                shared.run()
            }
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
            kick: None,
        })
    }

    /// The virtqueue, while the thread doesn't use it.
    pub fn queue(&self) -> MutexGuard<'_, Virtqueue> {
        self.shared.queue()
    }

    /// Replaces the event that says that there are buffers.
    pub fn set_kick(&mut self, kick: Option<EventFd>) -> io::Result<()> {
        if let Some(old) = self.kick.take() {
            self.shared.watch(ControlOperation::Delete, &old)?;
        }
        if let Some(new) = &kick {
            self.shared.watch(ControlOperation::Add, new)?;
        }
        self.kick = kick;
        Ok(())
    }

    /// Has the thread look at the ring without a kick.
    pub fn wake(&self) {
        self.shared.wake();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.quit.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // It has nothing to return, and a panic was printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Virtqueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both events are edge triggered: each write wakes the thread, which
    /// needn't read them, and the kernel's vhost doesn't read a kick either.
    fn watch(&self, operation: ControlOperation, event: &EventFd) -> io::Result<()> {
        let set = EventSet::IN | EventSet::EDGE_TRIGGERED;
        let fd = event.as_raw_fd();
        self.epoll.ctl(operation, fd, EpollEvent::new(set, 0))
    }

    fn wake(&self) {
        // It only fails if the counter is full, by which the thread is awake.
        let _ = self.wake.write(1);
    }

    fn wait(&self, events: &mut [EpollEvent]) -> io::Result<usize> {
        for _ in 0..LOOKS {
            let count = self.epoll.wait(0, events)?;
            if count > 0 {
                return Ok(count);
            }
        }
        self.epoll.wait(-1, events)
    }

    fn run(&self) {
        let mut events = [EpollEvent::default(); 2];
        loop {
            match self.wait(&mut events) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return complain(format_args!("waiting for a kick: {error}")),
            }
            if self.quit.load(Ordering::Acquire) {
                return;
            }
            let more = self.queue().serve();
            if more {
                self.wake();
            }
        }
    }
}

/// Has the calling thread run on this CPU only.
fn pin(cpu: &str) -> Result<(), Box<dyn Error>> {
    let mut only = CpuSet::new();
    only.set(cpu.parse()?)?;
    sched_setaffinity(Pid::from_raw(0), &only)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::sched_getaffinity;

    #[test]
    fn a_thread_is_pinned_to_one_cpu() {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).unwrap();
        let cpu = (0..CpuSet::count()).rfind(|&cpu| allowed.is_set(cpu).unwrap());
        let cpu = cpu.unwrap();
        pin(&cpu.to_string()).unwrap();
        let mut only = CpuSet::new();
        only.set(cpu).unwrap();
        assert_eq!(sched_getaffinity(this).unwrap(), only);
        for nonsense in ["", "first", "99999999"] {
            assert!(pin(nonsense).is_err(), "{nonsense}");
        }
    }
}
