#!/bin/sh
# Makes the root of a throw-away machine, in namespaces of its own, and becomes its
# first process. $BASE is an empty directory, $BINDS lines of "from to", $INIT what to
# become. The files of the directories $LAYERS are laid over it: with unpacked packages
# there, programs can be tried that are not installed.
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$BASE"
mkdir "$BASE/upper" "$BASE/work" "$BASE/root"
mount -t overlay -o "lowerdir=/,upperdir=$BASE/upper,workdir=$BASE/work" overlay "$BASE/root"
cd "$BASE/root"
for layer in $LAYERS; do cp -a "$layer/." .; done

mount -t proc -o nosuid,noexec,nodev proc proc
# What is not of these namespaces is the running system's, and not to be set here.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind proc/sys/net proc/sys/net 2>/dev/null && mount -o remount,bind,rw proc/sys/net 2>/dev/null || :
[ ! -e proc/sysrq-trigger ] || { mount --bind proc/sysrq-trigger proc/sysrq-trigger && mount -o remount,bind,ro proc/sysrq-trigger; }

mount -t tmpfs -o mode=755,nosuid tmpfs dev
for n in null zero full random urandom tty; do
	: >"dev/$n"
	mount --bind "/dev/$n" "dev/$n"
done
mkdir -p dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=1777 tmpfs dev/shm

mount -t sysfs -o ro,nosuid,noexec,nodev sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	mount -t cgroup2 cgroup2 sys/fs/cgroup
else
	mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
	mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
	mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
	mount -t cgroup2 cgroup2 sys/fs/cgroup/unified 2>/dev/null || rmdir sys/fs/cgroup/unified
fi

for d in run tmp var/tmp; do
	mount -t tmpfs -o mode=1777,nosuid tmpfs "$d"
done
chmod 755 run
mkdir -p run/lock run/dbus run/testmachine/upper
mount --bind "$BASE/upper" run/testmachine/upper

printf '%s\n' "$BINDS" | while read -r from to; do
	[ -n "$from" ] || continue
	if [ -d "$from" ]; then
		mkdir -p ".$to"
	else
		mkdir -p ".$(dirname "$to")"
		: >".$to"
	fi
	mount --rbind "$from" ".$to"
	mount -o remount,bind,ro ".$to"
done

ip link set lo up
hostname "$NAME"
mkdir -p run/old
pivot_root . run/old
cd /
umount -l /run/old
rmdir /run/old
[ -z "$PREPARE" ] || sh -ec "$PREPARE" >&2

if [ "$INIT" = systemd ]; then
	# Who logs in here comes by nsenter; there are no devices to wait for.
	for u in console-getty.service getty@.service systemd-udevd.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service systemd-binfmt.service systemd-modules-load.service; do
		ln -sf /dev/null "/run/systemd-mask-$u"
		mkdir -p /run/systemd/system
		mv "/run/systemd-mask-$u" "/run/systemd/system/$u"
	done
	echo up
	# The clock and the kernel are the running system's: a service, such as timedated when
	# the time zone changes, must not turn them.
	exec setpriv --bounding-set -sys_module,-sys_time -- env -i container=testmachine PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
		/lib/systemd/systemd --system --unit="$UNIT" --log-target=console --log-level=warning --show-status=no
fi
echo up
# A shell as the first process takes up orphans.
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c 'while :; do sleep 3600 & wait $!; done'
