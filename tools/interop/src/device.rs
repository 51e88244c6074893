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
use testkit::{command, root};
use wait_timeout::ChildExt;

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
    /// Its name, and what `scripts/interop-device` calls its program.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Scmi => ("SCMI (vhost-device-scmi)", "scmi"),
            Self::Raw => ("disk, raw (QEMU)", "qemu"),
            Self::Qcow2 => ("disk, qcow2 (QEMU)", "qemu"),
            Self::Dpdk => ("network card (DPDK)", "dpdk"),
            Self::Rng => ("random numbers (vhost-device-rng)", "rng"),
            Self::Vsock => ("vsock (vhost-device-vsock)", "vsock"),
        }
    }

    pub fn name(self) -> &'static str {
        self.names().0
    }

    pub fn is_disk(self) -> bool {
        matches!(self, Self::Raw | Self::Qcow2)
    }

    pub fn format(self) -> &'static str {
        if self == Self::Raw { "raw" } else { "qcow2" }
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
        command::output(Command::new("kill").arg(id))?;
        let ended = self.child.wait_timeout(LIMIT)?;
        ended.map(drop).context("the device does not end")
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
        let (name, cached) = (kind.names().1, self.cached);
        let found = self
            .found
            .entry(name)
            .or_insert_with(|| fetch(name, cached));
        found.as_ref().map(drop).map_err(|error| anyhow!("{error}"))
    }

    fn folder(&self, kind: Kind) -> Result<&Path> {
        let found = self.found.get(kind.names().1);
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
                command::output(create.arg(folder.join("image")).arg(DISK_BYTES.to_string()))?;
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
        let disk = format!(
            "--blockdev file,node-name=file,discard=unmap,filename=image \
             --blockdev {},node-name=disk,file=file,discard=unmap \
             --export vhost-user-blk,id=disk,node-name=disk,writable=on,num-queues=4,\
             addr.type=unix,addr.path=socket",
            kind.format()
        );
        let arguments = match kind {
            Kind::Raw | Kind::Qcow2 => &disk,
            Kind::Dpdk => {
                "-l 0,1 --no-huge --no-pci -m 256 --no-telemetry --no-shconf \
                 --vdev net_vhost0,iface=socket,queues=1 -- --forward-mode=macswap \
                 --port-topology=loop --nb-cores=1 --total-num-mbufs=16384 --no-mlockall -a"
            }
            Kind::Scmi => "-s socket -d fake,name=accel",
            Kind::Rng => "-s socket -f beside",
            Kind::Vsock => "--vm guest-cid=3,socket=socket,uds-path=beside",
        };
        let mut command = self.program(kind)?;
        command.current_dir(folder).args(arguments.split(' '));
        // For testpmd.
        command.env("XDG_RUNTIME_DIR", folder);
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

    fn program(&self, kind: Kind) -> Result<Command> {
        let folder = self.folder(kind)?.display();
        match kind {
            Kind::Raw | Kind::Qcow2 => self.unpacked(kind, "qemu-storage-daemon"),
            Kind::Dpdk => {
                let mut command = self.unpacked(kind, "dpdk-testpmd")?;
                let plugins = format!("{folder}/usr/lib/{ARCH}-linux-gnu");
                // It refuses to load plug-ins by itself from a folder that others may
                // write to.
                let preload =
                    format!("{plugins}/librte_net_vhost.so.23 {plugins}/librte_mempool_ring.so.23");
                command.env("LD_PRELOAD", preload);
                Ok(command)
            }
            Kind::Scmi | Kind::Rng | Kind::Vsock => {
                let name = kind.names().1;
                Ok(Command::new(format!("{folder}/bin/vhost-device-{name}")))
            }
        }
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
    command
        .arg(name)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    match command::output(&mut command) {
        Ok(folder) => Ok(folder.trim_end().into()),
        Err(_) if cached => Err(format!("{name} is not in the cache")),
        Err(_) => Err(format!("{name} cannot be had here")),
    }
}
