//! The archive that the kernel boots from: the guest program, two device nodes, empty folders, the kernel's configuration.

use std::io::{self, Write};

use cpio::newc::{Builder, ModeFileType, trailer};

/// Folders that the guest mounts file systems on.
const FOLDERS: [&str; 5] = ["dev", "proc", "sys", "tmp", "boot"];

/// Device nodes that a process needs before `devtmpfs` is mounted: name, major, minor (`Documentation/admin-guide/devices.txt`).
const DEVICES: [(&str, u32, u32); 2] = [("dev/console", 5, 1), ("dev/null", 1, 3)];

/// Makes the archive, in the `newc` form that the kernel unpacks.
///
/// # Errors
/// When a file is too large for the archive's 32-bit sizes.
pub fn pack(guest: &[u8], release: &str, config: Option<&[u8]>) -> io::Result<Vec<u8>> {
    let mut archive = Archive { bytes: Vec::new(), next_inode: 1 };
    for folder in FOLDERS {
        archive.add(folder, ModeFileType::Directory, 0o755, (0, 0), &[])?;
    }
    for (name, major, minor) in DEVICES {
        archive.add(name, ModeFileType::Char, 0o600, (major, minor), &[])?;
    }
    archive.add("init", ModeFileType::Regular, 0o755, (0, 0), guest)?;
    if let Some(config) = config {
        archive.add(&format!("boot/config-{release}"), ModeFileType::Regular, 0o644, (0, 0), config)?;
    }
    trailer(archive.bytes)
}

struct Archive {
    bytes: Vec<u8>,
    next_inode: u32,
}

impl Archive {
    fn add(
        &mut self,
        name: &str,
        kind: ModeFileType,
        mode: u32,
        device: (u32, u32),
        contents: &[u8],
    ) -> io::Result<()> {
        let size = u32::try_from(contents.len()).map_err(|_| io::Error::other(format!("{name} is too large")))?;
        let builder = Builder::new(name)
            .ino(self.next_inode)
            .nlink(1)
            .mode(mode)
            .set_mode_file_type(kind)
            .rdev_major(device.0)
            .rdev_minor(device.1);
        self.next_inode += 1;
        let mut writer = builder.write(&mut self.bytes, size);
        writer.write_all(contents)?;
        writer.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_has_the_program_the_devices_and_the_configuration() {
        let bytes = pack(b"program", "6.12.1", Some(b"CONFIG_BPF=y\n")).expect("a small archive");
        let mut rest = bytes.as_slice();
        let mut found = Vec::new();
        loop {
            let reader = cpio::newc::Reader::new(rest).expect("a well-formed archive");
            if reader.entry().is_trailer() {
                break;
            }
            let entry = reader.entry();
            found.push((entry.name().to_owned(), entry.mode(), entry.rdev_major(), entry.file_size()));
            rest = reader.finish().expect("a well-formed archive");
        }
        assert!(found.contains(&("init".into(), 0o100_755, 0, 7)));
        assert!(found.contains(&("dev/console".into(), 0o020_600, 5, 0)));
        assert!(found.contains(&("boot/config-6.12.1".into(), 0o100_644, 0, 13)));
        assert!(found.contains(&("proc".into(), 0o040_755, 0, 0)));
    }
}
