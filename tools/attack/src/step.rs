// SPDX-License-Identifier: GPL-2.0-or-later

//! A device that writes just behind the n-th instruction of a call: the
//! processor's trap flag stops the call at each, in a signal handler. What a
//! second thread hits once in many tries is hit each time. On x86-64 only:
//! elsewhere no call has a first instruction.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::Relaxed};

use anyhow::Result;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::attack::{self, Write};

/// Instructions to go; 0 once the attack is done.
static LEFT: AtomicU32 = AtomicU32::new(0);
static WRITES: AtomicPtr<Write> = AtomicPtr::new(ptr::null_mut());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// To be called before anything else here.
pub fn prepare() -> Result<()> {
    let handler = SigHandler::SigAction(on_trap);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler calls nothing that a signal handler may not.
    unsafe { sigaction(Signal::SIGTRAP, &action) }?;
    Ok(())
}

extern "C" fn on_trap(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    match LEFT.load(Relaxed) {
        0 => {}
        1 => {
            LEFT.store(0, Relaxed);
            // SAFETY: `call`'s, which waits for what it has called.
            let writes =
                unsafe { std::slice::from_raw_parts(WRITES.load(Relaxed), COUNT.load(Relaxed)) };
            attack::write(writes);
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the kernel's; the flags are what it restores.
            unsafe {
                let context = &mut *context.cast::<libc::ucontext_t>();
                context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !0x100;
            }
        }
        left => LEFT.store(left - 1, Relaxed),
    }
}

/// Calls `call`, and writes behind its `n`-th instruction, from 1 on. False if
/// it has fewer.
pub fn call<T>(n: u32, writes: &[Write], call: impl FnOnce() -> T) -> (T, bool) {
    WRITES.store(writes.as_ptr().cast_mut(), Relaxed);
    COUNT.store(writes.len(), Relaxed);
    LEFT.store(n, Relaxed);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: sets the trap flag, whose signal is handled.
    unsafe {
        core::arch::asm!("pushfq", "or dword ptr [rsp], 0x100", "popfq")
    };
    let answer = call();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: clears it.
    unsafe {
        core::arch::asm!("pushfq", "and dword ptr [rsp], 0xfffffeff", "popfq")
    };
    (answer, LEFT.swap(0, Relaxed) == 0)
}
