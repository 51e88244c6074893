// SPDX-License-Identifier: GPL-2.0-or-later
//! The crate virtio-driver: both layouts, no indirect tables, buffers as
//! iovecs. The driver gets the number of a chain, and keeps nothing else with
//! it.
//!
//! Its queue needs something that translates addresses, whose type nobody
//! outside can name. The crate's vhost-user transport has one that changes
//! nothing, so there is the first part of a vhost-user device here.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::slice;
use std::sync::OnceLock;
use std::thread;

use anyhow::{Context, Result};
use counts::Device;
use testkit::block::Block;
use virtio_driver::virtqueue::{Virtqueue, VirtqueueLayout};
use virtio_driver::{Le32, VhostUser, VirtioFeatureFlags, VirtioTransport, iovec};

use super::{Run, timed};
use crate::rows::Row;

/// Requests of vhost-user that are answered, and their answers.
const GET_FEATURES: u32 = 1;
const GET_PROTOCOL_FEATURES: u32 = 15;
const GET_MAX_MEM_SLOTS: u32 = 36;
const PROTOCOL_FEATURES: u64 = 1 << 30;
/// REPLY_ACK, CONFIG, CONFIGURE_MEM_SLOTS.
const NEEDED: u64 = 1 << 3 | 1 << 9 | 1 << 15;
const VERSION_AND_REPLY: u32 = 1 | 1 << 2;

/// A device for as long as the other end connects.
fn answer(mut socket: UnixStream) -> std::io::Result<()> {
    let mut header = [0; 12];
    while socket.read_exact(&mut header).is_ok() {
        let word = |i: usize| u32::from_ne_bytes(header[i..i + 4].try_into().expect("4 bytes"));
        let (request, length) = (word(0), word(8));
        socket.read_exact(&mut vec![0; length as usize])?;
        let value: u64 = match request {
            GET_FEATURES => PROTOCOL_FEATURES,
            GET_PROTOCOL_FEATURES => NEEDED,
            GET_MAX_MEM_SLOTS => 1,
            _ => continue,
        };
        let mut reply = Vec::new();
        for word in [request, VERSION_AND_REPLY, 8] {
            reply.extend(word.to_ne_bytes());
        }
        reply.extend(value.to_ne_bytes());
        socket.write_all(&reply)?;
    }
    Ok(())
}

type Transport = VhostUser<Le32, ()>;

/// One connection serves all queues.
fn transport() -> Result<&'static Transport> {
    static TRANSPORT: OnceLock<Transport> = OnceLock::new();
    if let Some(transport) = TRANSPORT.get() {
        return Ok(transport);
    }
    let path = std::env::temp_dir().join(format!("ring-benches.{}", std::process::id()));
    let listener = UnixListener::bind(&path)?;
    thread::spawn(move || listener.accept().and_then(|(socket, _)| answer(socket)));
    let transport = Transport::new(path.to_str().context("a path")?, 0);
    std::fs::remove_file(&path)?;
    Ok(TRANSPORT.get_or_init(|| transport.expect("the device above")))
}

/// A queue, dropped before its memory.
struct Owned {
    queue: Virtqueue<'static, ()>,
    _memory: Block,
}

pub fn make(row: &Row) -> Result<Option<Run>> {
    let work = row.work;
    if (work.indirect && work.entries > 1) || !work.is_simple() {
        return Ok(None);
    }
    let mut features = VirtioFeatureFlags::VERSION_1 | VirtioFeatureFlags::RING_EVENT_IDX;
    if work.packed {
        features |= VirtioFeatureFlags::RING_PACKED;
    }
    let layout = VirtqueueLayout::new::<()>(1, work.size.into(), features)?;
    let memory = Block::new(layout.end_offset, 4096, 0);
    // SAFETY: just allocated; freed behind the queue.
    let bytes = unsafe { slice::from_raw_parts_mut(memory.base().cast(), memory.length()) };
    let translator = transport()?.iova_translator();
    let mut queue = Virtqueue::<()>::new(translator, bytes, work.size, features)?;
    queue.set_used_notif_enabled(work.callbacks);
    let areas = [
        queue.desc_table_ptr(),
        queue.driver_area_ptr(),
        queue.device_area_ptr(),
    ]
    .map(|area| area.expose_provenance() as u64);
    // SAFETY: the queue's areas; both move into the closure.
    let mut device = unsafe { Device::new(areas, &work) };
    let mut owned = Owned {
        queue,
        _memory: memory,
    };
    static DATA: [u8; 64] = [0; 64];
    Ok(Some(timed(move |batches| {
        let Owned { queue, .. } = &mut owned;
        for _ in 0..batches {
            for _ in 0..work.batch {
                let added = queue.add_request(|(), add| {
                    for _ in 0..work.entries {
                        let data = DATA.as_ptr().cast_mut().cast();
                        add(
                            iovec {
                                iov_base: data,
                                iov_len: DATA.len(),
                            },
                            false,
                        )?;
                    }
                    Ok(())
                });
                added.expect("room");
            }
            std::hint::black_box(queue.avail_notif_needed());
            device.serve(work.batch);
            for _ in 0..work.batch {
                assert!(queue.completions().next().is_some());
            }
        }
    })))
}
