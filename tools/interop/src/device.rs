// SPDX-License-Identifier: GPL-2.0-or-later

//! The device programs: where they are, how they are started, and how they end.

use std::collections::HashMap;
use std::env::consts::ARCH;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use testkit::root;

/// How long a device may take to start, or to end.
const LIMIT: Duration = Duration::from_secs(20);

pub const DISK_BYTES: u64 = 64 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Scmi,
    Raw,
    Qcow2,
    Dpdk,
    Rng,
    Vsock,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Scmi => "SCMI (vhost-device-scmi)",
            Self::Raw => "disk, raw (QEMU)",
            Self::Qcow2 => "disk, qcow2 (QEMU)",
            Self::Dpdk => "network card (DPDK)",
            Self::Rng => "random numbers (vhost-device-rng)",
            Self::Vsock => "vsock (vhost-device-vsock)",
        }
    }

    pub fn is_disk(self) -> bool {
        matches!(self, Self::Raw | Self::Qcow2)
    }

    pub fn format(self) -> &'static str {
        if self == Self::Raw { "raw" } else { "qcow2" }
    }

    /// What `scripts/interop-device` calls it.
    fn package(self) -> &'static str {
        match self {
            Self::Scmi => "scmi",
            Self::Raw | Self::Qcow2 => "qemu",
            Self::Dpdk => "dpdk",
            Self::Rng => "rng",
            Self::Vsock => "vsock",
        }
    }
}

/// A device program that runs. It dies with this value.
pub struct Device {
    kind: Kind,
    folder: PathBuf,
    child: Child,
    output: OwnedFd,
}

impl Device {
    pub fn socket(&self) -> PathBuf {
        // vhost-device-rng has several sockets, which it counts.
        self.folder.join(if self.kind == Kind::Rng {
            "socket0"
        } else {
            "socket"
        })
    }

    /// What the device has on its other side: a file of random numbers, a socket.
    pub fn beside(&self) -> PathBuf {
        self.folder.join("beside")
    }

    /// Lets a disk write what it still has to, and end.
    pub fn stop_gently(&mut self) -> Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").arg(id).status().context("kill")?;
        let end = Instant::now() + LIMIT;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < end, "the device does not end");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where the device programs are.
pub struct Devices {
    cached: bool,
    found: HashMap<&'static str, Result<PathBuf, String>>,
}

impl Devices {
    /// `cached`: what is not there is not fetched.
    pub fn new(cached: bool) -> Self {
        Self {
            cached,
            found: HashMap::new(),
        }
    }

    /// Fetches or builds a device program if it is not there.
    pub fn find(&mut self, kind: Kind) -> Result<()> {
        let (name, cached) = (kind.package(), self.cached);
        let found = self
            .found
            .entry(name)
            .or_insert_with(|| fetch(name, cached));
        found.as_ref().map(drop).map_err(|error| anyhow!("{error}"))
    }

    fn folder(&self, kind: Kind) -> Result<&Path> {
        let found = self.found.get(kind.package());
        Ok(found
            .context("not looked for")?
            .as_ref()
            .map_err(|e| anyhow!("{e}"))?)
    }

    /// A program of an unpacked package, with the libraries that came with it.
    pub fn unpacked(&self, kind: Kind, program: &str) -> Result<Command> {
        let folder = self.folder(kind)?;
        let mut command = Command::new(folder.join("usr/bin").join(program));
        if folder != Path::new("/") {
            command.env("LD_LIBRARY_PATH", libraries(folder));
        }
        Ok(command)
    }

    /// Starts a device in a folder of its own; what it prints goes to `output`.
    pub fn start(&self, kind: Kind, folder: &Path, output: OwnedFd) -> Result<Device> {
        match kind {
            Kind::Raw | Kind::Qcow2 => {
                let mut create = self.unpacked(kind, "qemu-img")?;
                create.args(["create", "-q", "-f", kind.format()]);
                create.arg(folder.join("image")).arg(DISK_BYTES.to_string());
                ensure!(
                    create.status()?.success(),
                    "qemu-img cannot create an image"
                );
            }
            Kind::Rng => {
                let numbers = crate::image::numbers(8 << 20);
                fs::write(folder.join("beside"), numbers)?;
            }
            _ => {}
        }
        let child = self.spawn(kind, folder, &output)?;
        let device = Device {
            kind,
            folder: folder.to_owned(),
            child,
            output,
        };
        self.wait_for(device)
    }

    fn wait_for(&self, mut device: Device) -> Result<Device> {
        let end = Instant::now() + LIMIT;
        while !device.socket().exists() {
            if let Some(status) = device.child.try_wait()? {
                let log = fs::read_to_string(device.folder.join("log")).unwrap_or_default();
                bail!("the device ends with {status}: {}", log.trim());
            }
            ensure!(Instant::now() < end, "the device makes no socket");
            thread::sleep(Duration::from_millis(5));
        }
        // It is bound; soon it listens.
        thread::sleep(Duration::from_millis(50));
        Ok(device)
    }

    /// SIGKILL in the middle of whatever it does, and another one in its place.
    pub fn kill_and_restart(&self, device: &mut Device) -> Result<()> {
        device.child.kill()?;
        device.child.wait()?;
        drop(fs::remove_file(device.socket()));
        device.child = self.spawn(device.kind, &device.folder, &device.output)?;
        Ok(())
    }

    fn spawn(&self, kind: Kind, folder: &Path, output: &OwnedFd) -> Result<Child> {
        let socket = folder.join("socket");
        let beside = folder.join("beside");
        let mut command = match kind {
            Kind::Raw | Kind::Qcow2 => {
                let mut command = self.unpacked(kind, "qemu-storage-daemon")?;
                let image = folder.join("image");
                command.arg("--blockdev");
                command.arg(format!(
                    "file,node-name=file,discard=unmap,filename={}",
                    image.display()
                ));
                command.arg("--blockdev");
                command.arg(format!(
                    "{},node-name=disk,file=file,discard=unmap",
                    kind.format()
                ));
                command.arg("--export").arg(format!(
                    "vhost-user-blk,id=disk,node-name=disk,writable=on,num-queues=4,addr.type=unix,addr.path={}",
                    socket.display()
                ));
                command
            }
            Kind::Dpdk => self.testpmd(&socket, folder)?,
            Kind::Scmi | Kind::Rng | Kind::Vsock => {
                let name = format!("vhost-device-{}", kind.package());
                let mut command = Command::new(self.folder(kind)?.join("bin").join(name));
                match kind {
                    Kind::Scmi => command
                        .arg("-s")
                        .arg(socket)
                        .args(["-d", "fake,name=accel"]),
                    Kind::Rng => command.arg("-s").arg(socket).arg("-f").arg(beside),
                    _ => command.arg("--vm").arg(format!(
                        "guest-cid=3,socket={},uds-path={}",
                        socket.display(),
                        beside.display()
                    )),
                };
                command
            }
        };
        let log = File::create(folder.join("log"))?;
        // testpmd ends when its input does.
        command.stdin(Stdio::piped()).stderr(log.try_clone()?);
        if kind == Kind::Scmi {
            command.stdout(output.try_clone()?);
        } else {
            command.stdout(log);
        }
        command
            .spawn()
            .with_context(|| command.get_program().display().to_string())
    }

    fn testpmd(&self, socket: &Path, folder: &Path) -> Result<Command> {
        let mut command = self.unpacked(Kind::Dpdk, "dpdk-testpmd")?;
        let plugins = self
            .folder(Kind::Dpdk)?
            .join(format!("usr/lib/{ARCH}-linux-gnu"));
        // It refuses to load plug-ins by itself from a folder that others may write to.
        command.env(
            "LD_PRELOAD",
            format!(
                "{0}/librte_net_vhost.so.23 {0}/librte_mempool_ring.so.23",
                plugins.display()
            ),
        );
        command.env("XDG_RUNTIME_DIR", folder);
        command.args([
            "-l",
            "0,1",
            "--no-huge",
            "--no-pci",
            "-m",
            "256",
            "--no-telemetry",
        ]);
        command.args(["--no-shconf", "--vdev"]);
        command.arg(format!("net_vhost0,iface={},queues=1", socket.display()));
        command.args([
            "--",
            "--forward-mode=macswap",
            "--port-topology=loop",
            "--nb-cores=1",
        ]);
        command.args(["--total-num-mbufs=16384", "--no-mlockall", "-a"]);
        Ok(command)
    }
}

fn libraries(folder: &Path) -> String {
    let folder = folder.display();
    format!("{folder}/usr/lib/{ARCH}-linux-gnu:{folder}/lib/{ARCH}-linux-gnu")
}

fn fetch(name: &str, cached: bool) -> Result<PathBuf, String> {
    let script = root().join("scripts/interop-device");
    let mut command = Command::new(&script);
    if cached {
        command.arg("--cached");
    }
    let output = command
        .arg(name)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().into())
        }
        _ if cached => Err(format!("{name} is not in the cache")),
        _ => Err(format!("{name} cannot be had here")),
    }
}
