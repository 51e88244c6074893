// SPDX-License-Identifier: GPL-2.0-or-later
//! The programs of `examples/`, and what they print.

pub struct Example {
    pub name: &'static str,
    /// None: it needs a device in another process, and `make interop` runs it.
    pub prints: Option<&'static str>,
}

pub const EXAMPLES: [Example; 5] = [
    Example {
        name: "loopback",
        prints: Some(
            "split: 10 bytes came back: DESCRIPTOR
split: 9 bytes came back: AVAILABLE
split: 4 bytes came back: USED
packed: 10 bytes came back: DESCRIPTOR
packed: 9 bytes came back: AVAILABLE
packed: 4 bytes came back: USED
",
        ),
    },
    Example {
        name: "polling",
        prints: Some(
            "split: 3 clients have sent 2000 messages each, and got the replies
packed: 3 clients have sent 2000 messages each, and got the replies
",
        ),
    },
    Example {
        name: "many",
        prints: Some(
            "split: added 8 requests, and 8 came back
 1*1=1 2*2=4 3*3=9 4*4=16 5*5=25 6*6=36 7*7=49 8*8=64
split: added 4 requests, and 4 came back
 9*9=81 10*10=100 11*11=121 12*12=144
packed: added 8 requests, and 8 came back
 1*1=1 2*2=4 3*3=9 4*4=16 5*5=25 6*6=36 7*7=49 8*8=64
packed: added 4 requests, and 4 came back
 9*9=81 10*10=100 11*11=121 12*12=144
",
        ),
    },
    Example {
        name: "disk",
        prints: None,
    },
    Example {
        name: "scmi",
        prints: None,
    },
];
