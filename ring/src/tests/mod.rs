// SPDX-License-Identifier: GPL-2.0-or-later
//! The ring over plain memory ([`memory`]): what no device can bring about,
//! and arithmetic far from where a queue starts.

mod desc_state;
mod memory;
mod notification;
mod position;
mod publication;
mod requests;
mod tables;
mod tokens;
mod unmapped;
