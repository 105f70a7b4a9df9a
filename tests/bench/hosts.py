"""Two hosts with a slow line between them, on one machine: network namespaces (Linux, root), each
with a name of its own.  The line has its rate and its delay by `tc netem` where the kernel has it;
elsewhere by the program `line` of this folder, which passes packets on between two TUN devices and
takes some of the processors' time for it; `describe` says which, `spent`
how much.

    with Hosts(line_program, rate_bits, delay_s) as hosts:
        subprocess.run(hosts.inside(0, ["mpirun", *hosts.open_mpi(), "mendel", ...]))
"""
import os
import subprocess
import tempfile

ADDRESSES = ("10.16.0.1", "10.16.0.2")


class Unavailable(Exception):
    """No such hosts can be made here, and why."""


def call(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Hosts:
    def __init__(self, program, rate, delay):
        """rate: bits a second each way; delay: seconds each way."""
        self.program, self.rate, self.delay = program, rate, delay
        self.names = [f"mendel-{os.getpid()}-{side}" for side in "ab"]
        self.relay, self.folder, self.device = None, tempfile.TemporaryDirectory(), "line"

    def __enter__(self):
        try:
            for name in self.names:
                call("ip", "netns", "add", name)
            if not self.by_netem():
                self.by_relay()
            for i, name in enumerate(self.names):
                inside = ["ip", "netns", "exec", name, "ip"]
                call(*inside, "addr", "add", ADDRESSES[i], "peer", ADDRESSES[1 - i], "dev", "line")
                call(*inside, "link", "set", "line", "up")
                call(*inside, "link", "set", "lo", "up")
            self.write_agent()
        except (Unavailable, OSError) as error:
            self.__exit__()
            raise Unavailable(str(error)) from error
        return self

    def __exit__(self, *_):
        if self.relay is not None:
            self.relay.terminate()
            self.relay.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
        self.folder.cleanup()

    # ---- the line ---------------------------------------------------------------------------------

    def by_netem(self):
        a, b = self.names
        call("ip", "link", "add", "line", "netns", a, "type", "veth", "peer", "name", "line", "netns", b)
        try:
            for name in self.names:
                call("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "line", "root", "netem",
                     "rate", f"{self.rate:.0f}bit", "delay", f"{1e6 * self.delay:.0f}us", "limit", "100000")
        except Unavailable:
            call("ip", "netns", "exec", a, "ip", "link", "del", "line")
            return False
        return True

    def by_relay(self):
        if not os.path.exists(self.program):
            raise Unavailable(f"the kernel has no netem, and {self.program} is not built (ninja tests/line)")
        self.relay = subprocess.Popen([self.program, *self.names, f"{self.rate:.0f}", f"{1e6 * self.delay:.0f}"],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self.relay.stdout.readline().strip()
        if said != "ready":
            raise Unavailable(said)

    def describe(self):
        return f"{1e-9 * self.rate:g} Gb/s, {1e3 * self.delay:g} ms, {'netem' if self.relay is None else 'TUN'}"

    def spent(self):
        """The relay's processor time so far, seconds; 0 for netem, whose time is the kernel's."""
        if self.relay is None:
            return 0.0
        with open(f"/proc/{self.relay.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ---- starting processes on them -----------------------------------------------------------------

    def inside(self, i, words):
        """The command on host i."""
        return ["ip", "netns", "exec", self.names[i], "unshare", "--uts", "sh", "-c",
                'hostname "$0" && exec "$@"', self.names[i], *words]

    def write_agent(self):
        """What mpirun takes for ssh: HOST COMMAND."""
        self.agent = os.path.join(self.folder.name, "agent.sh")
        with open(self.agent, "w") as file:
            file.write("#!/bin/sh\nhost=$1\nshift\ncase $host in\n")
            for address, name in zip(ADDRESSES, self.names):
                file.write(f"{address}) exec ip netns exec {name} unshare --uts sh -c "
                           f"'hostname {name}; exec sh -c \"$0\"' \"$*\" ;;\n")
            file.write("esac\n")
        os.chmod(self.agent, 0o755)

    def open_mpi(self):
        """Options of Open MPI's mpirun, itself on the first host: a rank on each."""
        return ["--mca", "plm_rsh_agent", self.agent, "--mca", "btl", "tcp,self", "--mca", "pml", "ob1",
                "--mca", "btl_tcp_if_include", "line", "--mca", "oob_tcp_if_include", "line",
                "--host", ",".join(ADDRESSES), "--map-by", "node", "--bind-to", "none", "-n", "2"]

