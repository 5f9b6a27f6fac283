#!/bin/sh
# Made by @by@: it makes this machine a minion.
# @whom@
set -eu

fail() {
	echo "gosalt: $*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || fail "this has to run as root"
work=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/gosalt-join.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
#@ url

case $(uname -m) in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
i?86) arch=386 ;;
armv6l | armv7l | armv8l) arch=arm ;;
*) fail "there is no gosalt-minion for $(uname -m)" ;;
esac
case $arch in
@sums@
esac
url=@url@
fetch() {
	if command -v curl >/dev/null 2>&1; then
		curl -fsSL --connect-timeout 20 --max-time 600 -o "$work/gosalt-minion" "$url"
	elif command -v wget >/dev/null 2>&1; then
		wget -q -T 60 -O "$work/gosalt-minion" "$url"
	else
		fail "neither curl nor wget is there to get $url"
	fi
}
tries=0
until fetch; do
	tries=$((tries + 1))
	[ "$tries" -lt 10 ] || fail "$url cannot be fetched"
	sleep 3
done
echo "$sum  $work/gosalt-minion" | sha256sum -c - >/dev/null 2>&1 ||
	fail "what $url gave is not the program that is meant: its SHA-256 is $(sha256sum "$work/gosalt-minion" | cut -d ' ' -f 1), and $sum was expected"
mkdir -p /usr/local/bin
chmod 755 "$work/gosalt-minion"
cp "$work/gosalt-minion" /usr/local/bin/.gosalt-minion.new
mv -f /usr/local/bin/.gosalt-minion.new /usr/local/bin/gosalt-minion
ln -sf gosalt-minion /usr/local/bin/gosalt-call
program=/usr/local/bin/gosalt-minion
#@ package

package=@package@
install_package() {
	if command -v apt-get >/dev/null 2>&1; then
		apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install "$package"
	elif command -v dnf >/dev/null 2>&1; then
		dnf -q -y install "$package"
	elif command -v yum >/dev/null 2>&1; then
		yum -q -y install "$package"
	elif command -v zypper >/dev/null 2>&1; then
		zypper -q -n install "$package"
	elif command -v apk >/dev/null 2>&1; then
		apk add -q "$package"
	else
		fail "no package manager that is known is here to install $package"
	fi
}
install_package || fail "the package $package cannot be installed"
#@ find

program=$(PATH=$PATH:/usr/local/bin:/usr/bin command -v gosalt-minion) || fail "gosalt-minion is not there"
#@ service

if [ -d /run/systemd/system ]; then
	if ! systemctl cat gosalt-minion.service >/dev/null 2>&1; then
		cat >/etc/systemd/system/gosalt-minion.service <<EOF
@systemd@EOF
		systemctl daemon-reload
	fi
elif command -v openrc-run >/dev/null 2>&1 && [ ! -e /etc/init.d/gosalt-minion ]; then
	cat >/etc/init.d/gosalt-minion <<EOF
@openrc@EOF
	chmod 755 /etc/init.d/gosalt-minion
fi
#@ token

(umask 077 && cat >"$work/token" <<'EOF'
@token@
EOF
)
"$program" join -c /etc/salt --timeout 600 --token-file "$work/token" --remove-token-file
#@ join

"$program" join -c /etc/salt --timeout 600@join@
