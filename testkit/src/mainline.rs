// SPDX-License-Identifier: GPL-2.0-or-later

//! Kernel trees of 6.19 and later. The headers of their tools/virtio include the
//! kernel's own, which need more than is there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// Is this such a tree? By contents, since a partial tree may lack its top-level
/// Makefile: the tools no longer declare the device structure themselves.
pub fn is_mainline(tree: &Path) -> bool {
    let header = fs::read_to_string(tree.join("tools/virtio/linux/virtio.h"));
    header.is_ok_and(|text| !text.contains("struct virtio_device {"))
}

/// What stands for the kernel's version where such a tree is built.
pub const NAME: &str = "mainline";

/// The tree that KERNEL_SRC names, if it is such a one.
pub fn tree() -> Option<PathBuf> {
    let tree = PathBuf::from(std::env::var_os("KERNEL_SRC")?);
    is_mainline(&tree).then_some(tree)
}

/// The folder of headers that are missing there. It has to come before the tools' own
/// folders.
pub fn headers() -> PathBuf {
    root().join("testkit/mainline")
}

/// Macros that are missing there.
pub const MACROS: [&str; 4] = [
    "-Dkmalloc_obj(object,...)=kmalloc(sizeof(object),GFP_KERNEL)",
    "-Dkmalloc_objs(type,count,...)=kmalloc_array(count,sizeof(type),GFP_KERNEL)",
    "-DDMA_ATTR_DEBUGGING_IGNORE_CACHELINES=0",
    "-DSIZE_MAX=(~(size_t)0)",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_told_apart_by_the_tools_header() {
        let tree = std::env::temp_dir().join(format!("virtio-ring-tree-{}", std::process::id()));
        let folder = tree.join("tools/virtio/linux");
        fs::create_dir_all(&folder).unwrap();
        assert!(!is_mainline(&tree));
        for (text, expected) in [
            ("#include <../../include/linux/virtio.h>\n", true),
            ("struct virtio_device {\n\tstruct device dev;\n};\n", false),
        ] {
            fs::write(folder.join("virtio.h"), text).unwrap();
            assert_eq!(is_mainline(&tree), expected, "{text}");
        }
        fs::remove_dir_all(&tree).unwrap();
    }
}
