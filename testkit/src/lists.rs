// SPDX-License-Identifier: GPL-2.0-or-later
//! Scatterlists for the C functions.

use crate::abi::scatterlist;
use crate::device::Element;

/// An entry that links to another part of its list.
const CHAIN: u64 = 1;
/// The last entry of a list.
const END: u64 = 2;
/// `sg_set_buf` splits an address at a page's boundary.
const PAGE: u64 = 4096;

/// How the elements of one direction are put into lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One list.
    Whole,
    /// One list whose halves lie apart, the first with a link to the second.
    Linked,
    /// A list for each element.
    Pieces,
}

/// Lists of one call; used again for the next, so that a test of millions of
/// buffers does not allocate for each.
#[derive(Default)]
pub struct Lists {
    entries: Vec<scatterlist>,
    heads: Vec<*mut scatterlist>,
}

impl Lists {
    /// Makes lists of `elements`, whose first `readable` are the device's to
    /// read. Returns how many lists there are of either direction.
    pub fn build(&mut self, elements: &[Element], readable: usize, style: Style) -> (u32, u32) {
        self.entries.clear();
        self.heads.clear();
        // Two links at most. The entries must not move from here on.
        self.entries.reserve(elements.len() + 2);
        let (outs, ins) = elements.split_at(readable);
        let out_lists = self.add_direction(outs, style);
        let in_lists = self.add_direction(ins, style);
        (out_lists, in_lists)
    }

    /// The lists' first entries.
    pub fn heads(&mut self) -> *mut *mut scatterlist {
        self.heads.as_mut_ptr()
    }

    /// The first list's first entry.
    pub fn first(&self) -> *mut scatterlist {
        self.heads[0]
    }

    fn add_direction(&mut self, elements: &[Element], style: Style) -> u32 {
        match style {
            _ if elements.is_empty() => 0,
            Style::Pieces => {
                for element in elements {
                    self.begin();
                    self.put(element);
                    self.end();
                }
                elements.len() as u32
            }
            Style::Linked if elements.len() > 1 => {
                // The link stands after the first half, the second half right
                // after the link.
                let (first, second) = elements.split_at(elements.len() / 2);
                self.begin();
                first.iter().for_each(|element| self.put(element));
                let target = self.place(self.entries.len() + 1);
                self.entries.push(scatterlist {
                    page_link: target as u64 | CHAIN,
                    offset: 0,
                    length: 0,
                    dma_address: 0,
                });
                second.iter().for_each(|element| self.put(element));
                self.end();
                1
            }
            Style::Whole | Style::Linked => {
                self.begin();
                elements.iter().for_each(|element| self.put(element));
                self.end();
                1
            }
        }
    }

    fn place(&mut self, i: usize) -> *mut scatterlist {
        self.entries.as_mut_ptr().wrapping_add(i)
    }

    fn begin(&mut self) {
        let head = self.place(self.entries.len());
        self.heads.push(head);
    }

    fn put(&mut self, element: &Element) {
        debug_assert!(self.entries.len() < self.entries.capacity());
        self.entries.push(scatterlist {
            page_link: element.address & !(PAGE - 1),
            offset: (element.address % PAGE) as u32,
            length: element.length,
            dma_address: 0,
        });
    }

    fn end(&mut self) {
        self.entries.last_mut().unwrap().page_link |= END;
    }
}
