// SPDX-License-Identifier: GPL-2.0-or-later
//! `include/virtio_ring.h` is what cbindgen makes of the sources.

use std::path::Path;

/// Types of ours that are pointers to functions: what the kernel's headers say in
/// their place, before and after the name. cbindgen would define types, but only
/// `vq_callback_t` is the kernel's, and there it is a function.
const FUNCTION_POINTERS: [(&str, &str, &str); 4] = [
    ("vq_callback_t ", "vq_callback_t *", ""),
    ("vq_notify_t ", "bool (*", ")(struct virtqueue *vq)"),
    (
        "vq_recycle_t ",
        "void (*",
        ")(struct virtqueue *vq, void *buf)",
    ),
    ("vq_recycle_done_t ", "void (*", ")(struct virtqueue *vq)"),
];

/// Writes out the function pointers of one line.
fn write_out(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    for (name, before, after) in FUNCTION_POINTERS {
        if let Some(rest) = line[indent..].strip_prefix(name) {
            let end = rest.find([',', ';', ')']).unwrap();
            let (argument, rest) = rest.split_at(end);
            return format!("{}{before}{argument}{after}{rest}", &line[..indent]);
        }
    }
    line.into()
}

/// The groups of functions, in the header's order: modules of `src/capi`, whose
/// documentation is the group's heading, and C code beside or instead of them.
const GROUPS: [&str; 12] = [
    "device",
    "create",
    "scatterlist",
    "add",
    "kick",
    "get_buf",
    "callbacks",
    "poll",
    "reset",
    "mapping",
    "queries",
    "extensions",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of `src/capi`, or nothing if there is none of that name.
fn capi(name: &str) -> String {
    std::fs::read_to_string(root().join("src/capi").join(name)).unwrap_or_default()
}

/// What cbindgen makes of the sources.
fn declarations() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    config.language = cbindgen::Language::C;
    let mut builder = cbindgen::Builder::new().with_config(config);
    let groups = GROUPS.iter().map(|group| format!("capi/{group}.rs"));
    let types = ["vdev", "vq", "sg", "dma", "areas", "bufs", "mod"];
    for source in groups
        .chain(types.iter().map(|name| format!("abi/{name}.rs")))
        .chain(["queue/mod.rs".into()])
    {
        let source = root().join("src").join(source);
        if source.exists() {
            builder = builder.with_src(source);
        }
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    made.lines().map(|line| write_out(line) + "\n").collect()
}

/// The documentation of a group's module, as a comment of kernel-doc's.
fn heading(source: &str) -> String {
    let lines: Vec<_> = (source.lines())
        .filter_map(|line| line.strip_prefix("//!"))
        .collect();
    let Some((title, text)) = lines.split_first() else {
        return String::new();
    };
    let text: String = text.iter().map(|line| format!(" *{line}\n")).collect();
    format!("/**\n * DOC:{title}\n{text} */\n")
}

/// The name of the function that a piece of a header declares.
fn declared(piece: &str) -> Option<&str> {
    let line = (piece.lines()).find(|line| !line.starts_with(['/', ' ', '\t', '#']))?;
    let before = line.split_once('(')?.0;
    before.rsplit([' ', '*']).next()
}

/// A line, indented with tabs.
fn with_tabs(line: &str) -> String {
    let rest = line.trim_start_matches(' ');
    let spaces = line.len() - rest.len();
    "\t".repeat(spaces / 8) + &" ".repeat(spaces % 8) + rest
}

/// The structures and constants: comments of one line on one line, and none that looks
/// like kernel-doc's, which only functions and headings have.
fn structures(made: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in made.lines() {
        let line = line.replace("/**", "/*");
        match &lines[..] {
            [.., start, text] if line.trim() == "*/" && start.trim() == "/*" && text.len() < 76 => {
                let text = text.replacen(" * ", "/* ", 1) + " */";
                lines.truncate(lines.len() - 2);
                lines.push(text);
            }
            _ => lines.push(line),
        }
    }
    lines.join("\n")
}

/// The header.
fn header() -> String {
    let made = declarations();
    let first_function = made.find("/**\n * virtio").unwrap();
    let (before, functions) = made.split_at(made[..first_function].rfind("};\n").unwrap() + 3);
    let functions: Vec<_> = (functions.trim().split("\n\n"))
        .map(|piece| (declared(piece).unwrap(), piece.trim()))
        .collect();
    let mut pieces = vec![capi("head.h"), structures(before.trim())];
    let mut count = 0;
    for group in GROUPS {
        let source = capi(&format!("{group}.rs"));
        pieces.extend([heading(&source), capi(&format!("{group}.h"))]);
        for (name, piece) in &functions {
            if source.contains(&format!(" fn {name}(")) {
                pieces.push(piece.to_string());
                count += 1;
            }
        }
    }
    assert_eq!(count, functions.len());
    pieces.push(capi("tail.h"));
    pieces.retain(|piece| !piece.is_empty());
    let text: Vec<_> = pieces.iter().map(|piece| piece.trim_end()).collect();
    let text = text.join("\n\n");
    text.lines().map(|line| with_tabs(line) + "\n").collect()
}

#[test]
fn committed_header_is_up_to_date() {
    let made = header();
    let committed = root().join("include/virtio_ring.h");
    if std::env::var_os("VIRTIO_RING_WRITE_HEADER").is_some() {
        std::fs::write(&committed, made).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(&committed).unwrap() == made,
        "include/virtio_ring.h is stale; make it anew with: make header"
    );
}

/// A program's own names are its own: what the header defines is the kernel's, or
/// has a prefix of ours.
#[test]
fn header_defines_no_name_of_a_program() {
    let header = header();
    for line in header.lines() {
        if let Some(name) = line.strip_prefix("#define ") {
            assert!(name.starts_with("VIRTIO_"), "{line}");
        }
        if line.starts_with("typedef ") {
            let is_kernels = [
                "dma_addr_t;",
                "gfp_t;",
                "vq_callback_t(struct virtqueue *vq);",
            ]
            .iter()
            .any(|name| line.ends_with(name));
            assert!(is_kernels, "{line}");
        }
    }
    let definitions = header.lines().filter(|line| line.starts_with("typedef "));
    assert_eq!(definitions.count(), 3);
    for (name, ..) in &FUNCTION_POINTERS[1..] {
        assert!(!header.contains(name.trim()), "{name}was not written out");
    }
}

/// The comment and the declaration of an exported function.
fn documented<'h>(header: &'h str, name: &str) -> (&'h str, &'h str) {
    let start = header.find(&format!("/**\n * {name}() - "));
    let start = start.unwrap_or_else(|| panic!("{name} is not documented"));
    let (comment, rest) = header[start..].split_once("*/\n").unwrap();
    (comment, &rest[..rest.find(";\n").unwrap()])
}

/// Whoever looks a function up finds its arguments, who may call it when, what it
/// returns, and which kernels have it.
#[test]
fn functions_are_documented() {
    let header = header();
    let symbols = std::fs::read_to_string(root().join("src/symbols.txt")).unwrap();
    for name in symbols
        .lines()
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
    {
        let (comment, declaration) = documented(&header, name);
        assert!(declaration.contains(&format!("{name}(")), "{name}");
        let has = |what: &str| comment.contains(&format!("\n * {what}"));
        let rules = ["Any thread.", "Serialised by the caller.", "Alone: "];
        let stated = |rule: &&&str| has(&format!("Context: {rule}"));
        assert_eq!(rules.iter().filter(stated).count(), 1, "{name}");
        assert!(has("Kernels: "), "{name}");
        if comment.contains("() - an older name\n") {
            continue;
        }
        let returns = !declaration.starts_with(&format!("void {name}("));
        assert_eq!(has("Return:"), returns, "{name}");
        for argument in comment.lines().filter_map(|line| line.strip_prefix(" * @")) {
            let (argument, _) = argument.split_once(':').unwrap();
            assert!(declaration.contains(argument), "{name}: {argument}");
        }
        let arguments = comment.matches("\n * @").count();
        // (An argument that is a function has arguments of its own.)
        let commas = declaration.replace("vq, void", "").matches(',').count();
        assert_eq!(arguments, commas + 1, "{name}");
    }
}

/// The example at the top is C.
#[test]
fn example_compiles() {
    use std::io::Write;
    let header = header();
    let (_, rest) = header.split_once("writes::\n *\n").unwrap();
    let lines = rest
        .lines()
        .take_while(|line| line.starts_with(" *\t") || *line == " *");
    let example: String = lines.map(|line| line[2..].to_string() + "\n").collect();
    let program = format!(
        "#include <virtio_ring.h>\n\
         bool notify(struct virtqueue *vq);\n\
         bool example(char request[8], char response[8]) {{\n{example}return true;\n}}\n"
    )
    .replace("sizeof(re", "8 + 0 * sizeof(*re");
    let mut compiler = std::process::Command::new("cc")
        .args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root().join("include"))
        .args(["-xc", "-"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = compiler.stdin.take().unwrap();
    stdin.write_all(program.as_bytes()).unwrap();
    drop(stdin);
    assert!(compiler.wait().unwrap().success(), "{program}");
}

/// As in the kernel, for whose editors 80 columns are wide.
#[test]
fn lines_are_not_too_wide() {
    for line in header().lines() {
        let is_text = !line.starts_with("#error");
        assert!(!is_text || line.chars().count() <= 88, "{line}");
    }
}
