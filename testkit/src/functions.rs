// SPDX-License-Identifier: GPL-2.0-or-later

//! The exported functions of a ring, found by name.

use std::ffi::{c_char, c_int, c_uint, c_void};

use anyhow::{Context, Result};
use libloading::Library;
use virtio_ring::capi;

use crate::abi::{
    device, gfp_t, scatterlist, virtio_device, virtqueue, virtqueue_buf, virtqueue_used_buf,
    vq_callback_t, vq_notify_t, vq_recycle_done_t, vq_recycle_t, vring,
};
use crate::vdev::Layout;

/// Functions that every ring has, and functions that it may lack.
macro_rules! functions {
    (
        always { $($name:ident($($argument:ty),*) $(-> $answer:ty)?;)* }
        maybe { $($some:ident($($some_argument:ty),*) $(-> $some_answer:ty)?;)* }
    ) => {
        /// The exported functions of one ring; those that not all have are
        /// options.
        #[allow(missing_docs)]
        #[derive(Clone, Copy)]
        pub struct Functions {
            /// The structures that the ring expects.
            pub layout: Layout,
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $answer)?,)*
            $(pub $some: Option<unsafe extern "C" fn($($some_argument),*) $(-> $some_answer)?>,)*
        }

        impl Functions {
            /// Those of ours that are linked to this program.
            pub fn linked() -> Self {
                Self { layout: Layout::now(), $($name: capi::$name,)* $($some: Some(capi::$some),)* }
            }

            pub(crate) fn find(library: &'static Library) -> Result<Self> {
                Ok(Self {
                    layout: Layout::now(),
                    // SAFETY: the types are those of include/virtio_ring.h and
                    // of the kernel's header, which agree.
                    $($name: *unsafe { library.get(stringify!($name)) }
                        .context(stringify!($name))?,)*
                    // SAFETY: as above.
                    $($some: unsafe { library.get(stringify!($some)) }
                        .ok().map(|symbol| *symbol),)*
                })
            }
        }
    };
}

type Queue = *mut virtqueue;

functions! {
    always {
        virtqueue_add_sgs(Queue, *mut *mut scatterlist, c_uint, c_uint, *mut c_void, gfp_t) -> c_int;
        virtqueue_add_outbuf(Queue, *mut scatterlist, c_uint, *mut c_void, gfp_t) -> c_int;
        virtqueue_add_inbuf(Queue, *mut scatterlist, c_uint, *mut c_void, gfp_t) -> c_int;
        virtqueue_add_inbuf_ctx(Queue, *mut scatterlist, c_uint, *mut c_void, *mut c_void, gfp_t)
            -> c_int;
        virtqueue_kick_prepare(Queue) -> bool;
        virtqueue_notify(Queue) -> bool;
        virtqueue_kick(Queue) -> bool;
        virtqueue_get_buf_ctx(Queue, *mut c_uint, *mut *mut c_void) -> *mut c_void;
        virtqueue_get_buf(Queue, *mut c_uint) -> *mut c_void;
        virtqueue_disable_cb(Queue);
        virtqueue_enable_cb_prepare(Queue) -> c_uint;
        virtqueue_poll(Queue, c_uint) -> bool;
        virtqueue_enable_cb(Queue) -> bool;
        virtqueue_enable_cb_delayed(Queue) -> bool;
        virtqueue_detach_unused_buf(Queue) -> *mut c_void;
        virtqueue_get_vring_size(*const virtqueue) -> c_uint;
        virtqueue_is_broken(*const virtqueue) -> bool;
        virtqueue_get_desc_addr(*const virtqueue) -> u64;
        virtqueue_get_avail_addr(*const virtqueue) -> u64;
        virtqueue_get_used_addr(*const virtqueue) -> u64;
        virtqueue_get_vring(*const virtqueue) -> *const vring;
        vring_interrupt(c_int, *mut c_void) -> c_int;
        vring_create_virtqueue(c_uint, c_uint, c_uint, *mut virtio_device, bool, bool, bool,
            vq_notify_t, vq_callback_t, *const c_char) -> Queue;
        vring_new_virtqueue(c_uint, c_uint, c_uint, *mut virtio_device, bool, bool, *mut c_void,
            vq_notify_t, vq_callback_t, *const c_char) -> Queue;
        vring_del_virtqueue(Queue);
        vring_transport_features(*mut virtio_device);
        virtio_break_device(*mut virtio_device);
        __virtio_unbreak_device(*mut virtio_device);
        __virtqueue_break(Queue);
        __virtqueue_unbreak(Queue);
        // A vq_recycle_done_t comes last in 6.12; 6.1 does not look at it.
        virtqueue_resize(Queue, u32, vq_recycle_t, *mut c_void) -> c_int;
    }
    maybe {
        // Not in 7.x.
        virtqueue_set_dma_premapped(Queue) -> c_int;
        // 6.12
        virtqueue_reset(Queue, vq_recycle_t, vq_recycle_done_t) -> c_int;
        virtqueue_dma_dev(Queue) -> *mut device;
        vring_notification_data(Queue) -> u32;
        // 7.x
        virtqueue_add_inbuf_cache_clean(Queue, *mut scatterlist, c_uint, *mut c_void, gfp_t)
            -> c_int;
        // The wrap counter series.
        virtqueue_use_wrap_counter(Queue) -> c_int;
        // Ours.
        virtqueue_enable_cb_prepare64(Queue) -> u64;
        virtqueue_poll64(Queue, u64) -> bool;
        virtqueue_add_bufs(Queue, *const virtqueue_buf, c_uint, gfp_t) -> c_int;
        virtqueue_get_bufs(Queue, *mut virtqueue_used_buf, c_uint) -> c_uint;
        vring_create_virtqueue_in(c_uint, c_uint, c_uint, *mut virtio_device, bool, bool, bool,
            *mut c_void, usize, vq_notify_t, vq_callback_t, *const c_char) -> Queue;
    }
}
