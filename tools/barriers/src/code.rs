// SPDX-License-Identifier: GPL-2.0-or-later
//! The library's machine code: what each instruction does, and which functions of the
//! sources it comes from.

use std::path::Path;

use addr2line::Loader;
use anyhow::{Context, Result, anyhow};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use yaxpeax_arch::{Decoder, U8Reader};
use yaxpeax_arm::armv8::a64::{InstDecoder, Instruction as Decoded, Opcode, Operand};

/// A function of the sources, inlined or not: `split::publish`, and its types.
pub struct Frame {
    /// The file without `.rs` and the function, as in `shared::split::used_idx`.
    pub name: String,
    /// The function with its types.
    pub types: String,
}

/// What an instruction is to the order of accesses.
#[derive(PartialEq)]
pub enum Kind {
    Load {
        acquire: bool,
    },
    Store {
        release: bool,
    },
    /// As it is written: `dmb ishld`.
    Barrier(String),
    /// A call through a pointer to a function.
    Call,
    Return,
    Other,
}

pub struct Instruction {
    pub address: u64,
    pub kind: Kind,
    /// The innermost function first.
    pub frames: Vec<Frame>,
    /// Where the processor may go from here, within the function: indices.
    pub next: Vec<usize>,
}

/// One function of the machine code.
pub struct Function {
    address: u64,
    pub name: String,
    pub code: Vec<Instruction>,
}

/// All functions of a shared object that was built for aarch64 with line tables.
pub fn read(file: &Path) -> Result<Vec<Function>> {
    let bytes = std::fs::read(file)?;
    let object = object::File::parse(&*bytes)?;
    anyhow::ensure!(
        object.architecture() == object::Architecture::Aarch64,
        "not built for aarch64"
    );
    let text = object.section_by_name(".text").context("no .text")?;
    let lines = Loader::new(file).map_err(|error| anyhow!("{error}"))?;
    let mut functions = Vec::new();
    for symbol in object.symbols() {
        if symbol.kind() != SymbolKind::Text || symbol.size() == 0 {
            continue;
        }
        let Some(bytes) = text.data_range(symbol.address(), symbol.size())? else {
            continue;
        };
        let address = symbol.address();
        functions.push(Function {
            address,
            name: name(symbol.name()?),
            code: decode(address, bytes, &lines)?,
        });
    }
    // Names of one and the same code.
    functions.sort_by_key(|function| function.address);
    functions.dedup_by_key(|function| function.address);
    Ok(functions)
}

/// `kick::kick_prepare` for a function of `src/queue`, Rust's full name for others.
fn name(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    name.trim_start_matches("virtio_ring::queue::").to_owned()
}

fn decode(start: u64, bytes: &[u8], lines: &Loader) -> Result<Vec<Instruction>> {
    let count = bytes.len() / 4;
    let decoder = InstDecoder::default();
    let mut code = Vec::new();
    for (i, word) in bytes.chunks_exact(4).enumerate() {
        let address = start + 4 * i as u64;
        // What the decoder does not know is neither branch nor barrier: those are
        // as old as the architecture.
        let decoded = decoder.decode(&mut U8Reader::new(word)).ok();
        code.push(Instruction {
            address,
            kind: decoded.map_or(Kind::Other, kind),
            frames: frames(address, lines)?,
            next: decoded.map_or_else(|| vec![i + 1], |decoded| next(i, decoded, count)),
        });
    }
    Ok(code)
}

fn frames(address: u64, lines: &Loader) -> Result<Vec<Frame>> {
    let mut found = Vec::new();
    let mut frames = lines
        .find_frames(address)
        .map_err(|error| anyhow!("{error}"))?;
    while let Some(frame) = frames.next()? {
        let (Some(function), Some(location)) = (frame.function, frame.location) else {
            continue;
        };
        let types = function.demangle()?.into_owned();
        let file = location.file.unwrap_or_default();
        let file = file.rsplit_once("src/").map_or(file, |(_, file)| file);
        let module = file.trim_end_matches(".rs").replace('/', "::");
        let bare = types.split('<').next().unwrap_or_default();
        found.push(Frame {
            name: format!("{module}::{bare}"),
            types,
        });
    }
    Ok(found)
}

fn kind(instruction: Decoded) -> Kind {
    let name = instruction.opcode.to_string();
    match instruction.opcode {
        Opcode::DMB(_) | Opcode::DSB(_) => Kind::Barrier(instruction.to_string()),
        Opcode::BLR => Kind::Call,
        Opcode::RET => Kind::Return,
        _ if is_on_stack(&instruction) => Kind::Other,
        _ if name.starts_with("ld") => Kind::Load {
            acquire: name.starts_with("ldar") || name.starts_with("ldapr"),
        },
        _ if name.starts_with("st") => Kind::Store {
            release: name.starts_with("stlr"),
        },
        _ => Kind::Other,
    }
}

/// Does it save or restore a register? The line tables take that for the access that
/// needs the register.
fn is_on_stack(instruction: &Decoded) -> bool {
    const SP: u16 = 31;
    instruction.operands.iter().any(|operand| {
        matches!(
            operand,
            Operand::RegPreIndex(SP, ..) | Operand::RegPostIndex(SP, _)
        )
    })
}

/// By how many bytes a branch goes.
fn offset(instruction: &Decoded) -> Option<i64> {
    instruction
        .operands
        .iter()
        .find_map(|operand| match operand {
            Operand::PCOffset(offset) => Some(*offset),
            _ => None,
        })
}

/// Where an instruction leads to in its function of `count` instructions. A branch to
/// an address that is computed leaves it: the library is built without jump tables.
fn next(i: usize, instruction: Decoded, count: usize) -> Vec<usize> {
    let target = offset(&instruction).and_then(|by| usize::try_from(i as i64 + by / 4).ok());
    let mut next = match instruction.opcode {
        Opcode::B => vec![],
        Opcode::RET | Opcode::BR | Opcode::BRK | Opcode::UDF => return vec![],
        _ => vec![i + 1],
    };
    if matches!(
        instruction.opcode,
        Opcode::B | Opcode::Bcc(_) | Opcode::CBZ | Opcode::CBNZ | Opcode::TBZ | Opcode::TBNZ
    ) {
        next.extend(target);
    }
    next.retain(|&i| i < count);
    next
}
