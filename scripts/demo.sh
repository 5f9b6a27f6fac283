#!/bin/sh
# make demo: a master and three minions on this machine, below a temporary directory,
# without root and without touching any configuration. Everything ends with it.
set -eu

bin=$(cd "$(dirname "$0")/../bin" && pwd)
PATH=$bin:$PATH
dir=$(mktemp -d "${TMPDIR:-/tmp}/gosalt-demo.XXXXXX")
pids=

finish() {
	trap - EXIT INT TERM HUP
	for pid in $pids; do
		kill "$pid" 2>/dev/null || true
	done
	for pid in $pids; do
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# show prints a command as it would be typed, and runs it. What its exit code says
# is part of what there is to see.
show() {
	printf '\n$'
	for a in "$@"; do
		case $a in
		*[!A-Za-z0-9_./=:,-]*) printf " '%s'" "$a" ;;
		*) printf ' %s' "$a" ;;
		esac
	done
	printf '\n'
	"$@" || printf '(exit code %d)\n' "$?"
}

say() { printf '\n# %s\n' "$1"; }

# until_ok COMMAND... runs a command until it succeeds, for ten seconds.
until_ok() {
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		if [ $n -gt 100 ]; then
			printf 'demo: this did not succeed within ten seconds: %s\n' "$*" >&2
			cat "$dir"/*.log >&2
			exit 1
		fi
		sleep 0.1
	done
}

alive() { kill -0 "$1" 2>/dev/null; }
keys() { [ "$(gosalt-key -l un | wc -l)" -ge $((1 + $1)) ]; }
answer() { [ "$(gosalt --out txt '*' test.ping | grep -c True)" -eq "$1" ]; }

# A pair of ports that nobody uses: the master says whether they are.
start_master() {
	try=0
	while [ $try -lt 20 ]; do
		port=$((20000 + ($$ * 7 + try * 131) % 12000))
		mkdir -p "$dir/master"
		cat >"$dir/master/master" <<-EOF
			root_dir: $dir/master
			interface: 127.0.0.1
			publish_port: $port
			ret_port: $((port + 1))
			timeout: 1
			gather_job_timeout: 1
		EOF
		gosalt-master -c "$dir/master" 2>"$dir/master.log" &
		pid=$!
		n=0
		while alive "$pid" && [ $n -lt 100 ]; do
			if [ -S "$dir/master/var/run/salt/master/control.sock" ]; then
				pids=$pid
				return 0
			fi
			n=$((n + 1))
			sleep 0.1
		done
		alive "$pid" && break
		grep -q 'port' "$dir/master.log" || break
		try=$((try + 1))
	done
	cat "$dir/master.log" >&2
	exit 1
}

start_minion() {
	mkdir -p "$dir/$1"
	cat >"$dir/$1/minion" <<-EOF
		root_dir: $dir/$1
		id: $1
		master: 127.0.0.1
		master_port: $((port + 1))
		acceptance_wait_time: 1
	EOF
	gosalt-minion -c "$dir/$1" 2>"$dir/$1.log" &
	pids="$pids $!"
	eval "pid_$1=$!"
}

say "a master and three minions, each a process of its own below $dir"
start_master
export SALT_CONFIG_DIR="$dir/master"
for id in web1 web2 db1; do
	start_minion $id
done
until_ok keys 3

say "each has made a key, and the master waits for your word"
show gosalt-key -L
show gosalt-key -y -A
until_ok answer 3

say "one command on all of them"
show gosalt '*' cmd.run uptime
show gosalt 'web*' cmd.run 'echo $((6 * 7)) from $(hostname)' --out=json --static

say "one machine goes down; the answer says what is known of it"
kill -9 "$pid_web2"
show gosalt 'web*' test.ping

say "a job for it waits, and is run when it is back"
jid=$(gosalt --async 'web*' cmd.run 'echo better late than never' | sed 's/.* //')
printf "\n$ gosalt --async 'web*' cmd.run 'echo better late than never'\nExecuted command with job ID: %s\n" "$jid"
start_minion web2
printf '\n$ gosalt-minion -c %s &\n' "$dir/web2"
late() { gosalt-run jobs.lookup_jid "$jid" | grep -q web2; }
until_ok late
show gosalt-run jobs.lookup_jid "$jid"

say "that was all: the daemons end, and $dir is removed"
