#!/bin/busybox sh
# The guest's first program. It does of cloud-init's work what our user-data needs: the one
# script in it is run, and then the minion.
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin HOME=/root
mkdir -p /run /tmp /etc/salt /root /var /cd
echo 'root:x:0:0:root:/root:/bin/sh' >/etc/passwd
echo 'root:x:0:' >/etc/group
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in $(cat /lib/order); do insmod "$m"; done
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
tries=0
until mount -t iso9660 -o ro /dev/vdb /cd 2>/run/why; do
	tries=$((tries + 1))
	if [ "$tries" = 100 ]; then
		echo "guest: there is no disk with user-data: $(cat /run/why)"
		dmesg | tail -n 30
		poweroff -f
	fi
	sleep 0.2
done
sed -n 's/.*"local-hostname":"\([^"]*\)".*/\1/p' /cd/meta-data >/etc/hostname
hostname -F /etc/hostname
printf '127.0.0.1 localhost %s\n' "$(hostname)" >/etc/hosts
echo "guest: $(hostname) is up"
awk '/^  content: \|$/ {on = 1; next} /^runcmd:/ {on = 0} on {sub(/^    /, ""); print}' /cd/user-data >/run/gosalt-join.sh
sh /run/gosalt-join.sh && gosalt-minion -c /etc/salt -l info
echo "guest: the minion has ended with code $?"
poweroff -f
