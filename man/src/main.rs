// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes the manual pages of the comments in the header:
//!
//! ```text
//! manual include/virtio_ring.h man/virtio_ring.7.in FOLDER
//! ```
//!
//! The comments are kernel-doc's. Each "DOC:" begins a page of section 3, which has the
//! name of its first function; the page's other functions are links to it. The first
//! such comment is the overview: it takes the place of @OVERVIEW@ in the template of
//! virtio_ring(7).

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// The date of this version.
const DATE: &str = "2026-11-27";

/// A heading, and the functions under it.
struct Page<'h> {
    title: &'h str,
    about: Vec<&'h str>,
    functions: Vec<Function<'h>>,
}

struct Function<'h> {
    name: &'h str,
    summary: &'h str,
    about: Vec<&'h str>,
    declaration: &'h str,
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [header, template, folder] = &arguments[..] else {
        panic!("usage: manual HEADER TEMPLATE FOLDER");
    };
    let header = fs::read_to_string(header).expect("the header cannot be read");
    let template = fs::read_to_string(template).expect("the template cannot be read");
    let folder = Path::new(folder);
    let (man3, man7) = (folder.join("man3"), folder.join("man7"));
    let _ = fs::remove_dir_all(&man3);
    for section in [&man3, &man7] {
        fs::create_dir_all(section).expect("the folder cannot be made");
    }
    let write = |file, text: String| fs::write(file, text).expect("a page cannot be written");

    let pages = pages(&header);
    let (overview, pages) = pages.split_first().expect("the header has no comments");
    let mut names = String::new();
    for page in pages {
        let name = page.functions[0].name;
        write(man3.join(format!("{name}.3")), manual_page(page));
        for link in &page.functions[1..] {
            let text = format!(".so man3/{name}.3\n");
            write(man3.join(format!("{}.3", link.name)), text);
        }
        let _ = write!(names, ".TP\n.BR {name} (3)\n{}\n", page.title);
    }
    let template = template
        .replace("@OVERVIEW@\n", &text(&overview.about, Level::Page))
        .replace("@PAGES@\n", &names)
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@DATE@", DATE);
    write(man7.join("virtio_ring.7"), template);
}

/// The pages of a header.
fn pages(header: &str) -> Vec<Page<'_>> {
    let mut pages: Vec<Page> = Vec::new();
    for piece in header.split("/**\n * ").skip(1) {
        let (comment, code) = piece.split_once(" */\n").expect("a comment does not end");
        let (first, about) = comment.split_once('\n').expect("a comment has no text");
        let about = about
            .lines()
            .map(|line| {
                line.strip_prefix(" * ")
                    .or(line.strip_prefix(" *"))
                    .unwrap()
            })
            .collect();
        if let Some(title) = first.strip_prefix("DOC: ") {
            pages.push(Page {
                title,
                about,
                functions: Vec::new(),
            });
        } else {
            let (name, summary) = first.split_once("() - ").expect("a comment lacks a name");
            let page = pages
                .last_mut()
                .expect("a function comes before any heading");
            page.functions.push(Function {
                name,
                summary,
                about,
                declaration: declaration(code),
            });
        }
    }
    pages
}

/// What the program has to know of the code after a comment: not the body of a function,
/// and of a declaration for several kernels the first one.
fn declaration(code: &str) -> &str {
    let start = match code.strip_prefix('#') {
        Some(rest) => code.len() - rest.len() + rest.find('\n').unwrap(),
        None => 0,
    };
    let code = code[start..].trim_start();
    let code = code.strip_prefix("static inline ").unwrap_or(code);
    let end = code.find([';', '{']).expect("a declaration does not end");
    code[..end].trim_end()
}

fn manual_page(page: &Page) -> String {
    let mut out = format!(
        ".\\\" SPDX-License-Identifier: GPL-2.0-or-later\n\
         .\\\" Made from virtio_ring.h.\n\
         .TH {} 3 {DATE} \"virtio-ring {}\" \"Virtio ring\"\n.nh\n.SH NAME\n",
        page.functions[0].name.to_uppercase(),
        env!("CARGO_PKG_VERSION"),
    );
    let names: Vec<_> = page
        .functions
        .iter()
        .map(|function| function.name)
        .collect();
    let _ = writeln!(
        out,
        "{} \\- {}",
        names.join(", "),
        page.title.to_lowercase()
    );
    out += ".SH SYNOPSIS\n.nf\n.B #include <virtio_ring.h>\n";
    for function in &page.functions {
        out += ".PP\n";
        for line in function.declaration.lines() {
            out += &(expand_tabs(line) + "\n");
        }
        out.insert(out.len() - 1, ';');
    }
    let _ = write!(
        out,
        ".fi\n.SH DESCRIPTION\n{}",
        text(&page.about, Level::Page)
    );
    for function in &page.functions {
        let _ = write!(
            out,
            ".SS {}()\n{}{}.\n{}",
            function.name,
            function.summary[..1].to_uppercase(),
            troff(&function.summary[1..]),
            text(&function.about, Level::Function)
        );
    }
    out + ".SH SEE ALSO\n.BR virtio_ring (7)\n"
}

/// What a comment describes.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Page,
    Function,
}

/// A comment's lines for troff.
fn text(lines: &[&str], level: Level) -> String {
    let mut out = String::new();
    let mut is_code = false;
    for (i, line) in lines.iter().enumerate() {
        let next = lines.get(i + 1).copied().unwrap_or_default();
        if let Some(code) = line.strip_prefix('\t') {
            if !is_code {
                out += ".PP\n.RS 4\n.EX\n";
            }
            is_code = true;
            let code = expand_tabs(code).replace('\\', "\\e").replace('-', "\\-");
            out += &(code + "\n");
        } else if line.is_empty() {
            if is_code && next.starts_with('\t') {
                out += "\n";
            } else if !is_code && !starts_item(next) && !next.starts_with('\t') && !next.is_empty()
            {
                out += ".PP\n";
            }
        } else {
            if is_code {
                out += ".EE\n.RE\n";
                if !starts_item(line) {
                    out += ".PP\n";
                }
                is_code = false;
            }
            let item = line
                .strip_prefix("* ")
                .and_then(|item| item.split_once(" - "));
            let argument = line
                .strip_prefix('@')
                .and_then(|rest| rest.split_once(": "));
            if let Some((what, text)) = item {
                let _ = writeln!(out, ".TP\n.B {}\n{}", troff(what), troff(text));
            } else if let Some((name, text)) = argument {
                let _ = writeln!(out, ".TP\n.I {name}\n{}", troff(text));
            } else if let Some(name) = section_name(line) {
                let _ = match level {
                    Level::Page => writeln!(out, ".SH {}", name.to_uppercase()),
                    Level::Function => writeln!(out, ".PP\n.I {name}:"),
                };
                let text = line[name.len() + 1..].trim_start();
                if !text.is_empty() {
                    let _ = writeln!(out, "{}", troff(text));
                }
            } else {
                let _ = writeln!(out, "{}", troff(line.trim_start()));
            }
        }
    }
    if is_code {
        out += ".EE\n.RE\n";
    }
    out.strip_prefix(".PP\n").map(String::from).unwrap_or(out)
}

/// A line of code, whose tabs have the width of 8.
fn expand_tabs(line: &str) -> String {
    let mut out = String::new();
    for part in line.split_inclusive('\t') {
        out += part.trim_end_matches('\t');
        if part.ends_with('\t') {
            out += &" ".repeat(8 - out.len() % 8);
        }
    }
    out
}

/// "Context" of "Context: Any thread."
fn section_name(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once(':')?;
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.split(' ').count() <= 2
        && name.chars().all(|c| c.is_ascii_alphabetic() || c == ' ')
        && (rest.is_empty() || rest.starts_with(' '));
    is_name.then_some(name)
}

fn starts_item(line: &str) -> bool {
    line.starts_with("* ") || line.starts_with('@') || section_name(line).is_some()
}

/// A line of text: `code` and functions' names in italics and bold.
fn troff(line: &str) -> String {
    let line = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace("::", ":");
    let mut out = String::new();
    for (i, part) in line.split('`').enumerate() {
        if i % 2 == 1 {
            let _ = write!(out, "\\fI{part}\\fP");
            continue;
        }
        let mut rest = part;
        while let Some(end) = rest.find("()") {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let start = rest[..end].rfind(|c| !is_of_name(c)).map_or(0, |i| i + 1);
            let _ = write!(out, "{}\\fB{}\\fP()", &rest[..start], &rest[start..end]);
            rest = &rest[end + 2..];
        }
        out += rest;
    }
    if out.starts_with(['.', '\'']) {
        out.insert_str(0, "\\&");
    }
    out
}
