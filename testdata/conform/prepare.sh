# The machine that testdata/conform/all.sls finds.
mkdir -p /srv/salt/tree/sub /srv/disk /srv/f /srv/w /etc/apt/keyrings
sh -e /opt/conform/repo.sh one two three four gone held loose
cd /srv/repo; dpkg -i gone_1_all.deb held_1_all.deb loose_1_all.deb >/dev/null 2>&1; apt-mark hold loose >/dev/null
echo 'deb [trusted=yes] file:/srv/nosuch ./' >/etc/apt/sources.list.d/old.list

cd /srv/f
for f in edited keyed blocked commented uncommented lined lined2 appended prepended; do printf '[main]\nold = 1\nport=2\n#off = 3\non = 4\n# start\nx\n# end\n' >$f; done
echo x >torename; echo x >tocopy; echo x >togo; mkdir -p tidy tree/stray gonedir/a; touch -d 2020-01-01 tidy/old.log; touch tidy/new; echo x >gonedir/a/b; echo y >tree/stray/f
printf 'one\ntwo\n' >topatch; printf -- '--- a\n+++ b\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n' >/srv/salt/to.patch
printf '{"a": 1}\n' >data.json; printf '[sec]\na = 1\nb = 2\n[del]\nc = 3\n' >ini; printf '[one]\n' >ini2; echo x >notlink; mkdir -p keep; for d in 01 02 03 04 05; do touch -d 2020-01-$d keep/b-2020-01-$d; done
head -c 200000 /dev/urandom | base64 >/srv/salt/big; for i in 1 2 3 4 5 6; do echo $i >/srv/salt/tree/sub/$i; done
mkdir /tmp/a; (cd /tmp/a; mkdir top; for i in 1 2 3; do head -c 50000 /dev/urandom >top/$i; done; tar -czf /srv/salt/a.tar.gz top)
printf '#!/bin/sh\ntouch /srv/f/scripted\n' >/srv/salt/s.sh

mkdir -p /srv/salt/_modules; echo 'x = 1' >/srv/salt/_modules/mine.py
useradd -m leaver; useradd -m keyed; groupadd oldgroup; groupadd team; mkdir -p /home/keyed/.ssh
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGy2Zx4Yw1xGqZ8n6o1n2k0Q3b1sT9VhT4m5W6p7q8r9 old' >/home/keyed/.ssh/authorized_keys
echo 'old.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGy2Zx4Yw1xGqZ8n6o1n2k0Q3b1sT9VhT4m5W6p7q8r9' >/home/keyed/.ssh/known_hosts
printf 'OLDVAR=1\n7 7 * * * /bin/oldjob\n' | crontab -u keyed -
printf 'root: nobody\npostmaster: root\n' >/etc/aliases
printf '10.9.9.9 oldhost\n10.9.9.8 nobody\n' >>/etc/hosts
printf '/dev/gone /mnt/gone ext4 defaults 0 0\n' >>/etc/fstab; mkdir -p /mnt/u; mount -t tmpfs tmpfs /mnt/u

export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@e GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@e
git init -q -b main /srv/g; cd /srv/g; for i in 1 2 3; do echo $i >f$i; git add .; git commit -qm $i; done; git tag v1 HEAD~1
git config --global safe.directory '*'; git config --global old.key 1

for n in a b; do printf '#!/bin/sh\n' >/usr/bin/thing-$n; chmod 755 /usr/bin/thing-$n; done
update-alternatives --quiet --install /usr/bin/other other /usr/bin/thing-a 10 --force; update-alternatives --quiet --install /usr/bin/other other /usr/bin/thing-b 5
update-alternatives --quiet --install /usr/bin/third third /usr/bin/thing-a 10; update-alternatives --quiet --install /usr/bin/third third /usr/bin/thing-b 5; update-alternatives --quiet --set third /usr/bin/thing-b
update-alternatives --quiet --install /usr/bin/fourth fourth /usr/bin/thing-a 10; update-alternatives --quiet --install /usr/bin/fourth fourth /usr/bin/thing-b 5

for s in up enabled down masked disable; do printf '[Service]\nExecStart=/bin/sleep 10000\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/t-$s.service; done
printf '[Service]\nExecStart=/bin/sleep 10000\n[Install]\nWantedBy=multi-user.target\n' >/usr/lib/systemd/system/t-mask.service
cp /usr/lib/systemd/system/t-mask.service /usr/lib/systemd/system/t-unmask.service
systemctl daemon-reload; systemctl enable -q --now t-down; systemctl enable -q t-disable; systemctl mask -q t-unmask
mkdir -p /etc/salt/minion.d; printf 'schedule:\n  oldjob: {function: test.ping, seconds: 60, enabled: true}\n' >/etc/salt/minion.d/_schedule.conf

# Programs that keep what they are told in files, where there is none or it is not for tests.
mkdir -p /var/fake /lib/modules/$(uname -r)/kernel; cd /usr/local/sbin
for m in one two; do : >/lib/modules/$(uname -r)/kernel/$m.ko; done; printf 'two 1 0\n' >/var/fake/mods
printf '#!/bin/sh\necho "Module Size Used by"; cat /var/fake/mods\n' >lsmod
printf '#!/bin/sh\ngrep -q "^$1 " /var/fake/mods || echo "$1 10 0" >>/var/fake/mods\n' >modprobe
printf '#!/bin/sh\nsed -i "/^$1 /d" /var/fake/mods\n' >rmmod
printf '#!/bin/sh\ncat /var/fake/debconf\n' >debconf-get-selections; : >/var/fake/debconf
printf '#!/bin/sh\ncat "$@" | sed "s/ /\\t/; s/ /\\t/; s/ /\\t/" >>/var/fake/debconf\n' >debconf-set-selections
cat >at <<'X'
#!/bin/sh
case $1 in
-c) cat /var/fake/at.$2 2>/dev/null;;
-d) shift; for j; do rm -f /var/fake/at.$j; done;;
*) n=$(ls /var/fake | grep -c at); cat >/var/fake/at.$n; echo "job $n at Sat Nov 28 10:00:00 2026" >&2;;
esac
X
printf '#!/bin/sh\nfor f in /var/fake/at.*; do [ -e $f ] || continue; n=${f##*.}; printf "%%s\\tSat Nov 28 10:00:00 2026 a root\\n" $n; done\n' >atq
chmod 755 /usr/local/sbin/*; printf '# SALT: going\necho old\n' >/var/fake/at.0
iptables -A INPUT -p tcp --dport 99 -j ACCEPT 2>/dev/null || true
iptables -N OLD 2>/dev/null || true
if command -v nft >/dev/null; then
	nft add table ip old; nft add table ip t; nft add chain ip t oldchain; nft add chain ip t in '{ type filter hook input priority 5; policy accept; }'
	nft add rule ip t in tcp dport 99 accept; nft add chain ip t through '{ type filter hook forward priority 5; policy accept; }'
fi

python3 - <<'X'
import zipfile
for v in ('1.0', '2.0'):
    info = 'alpha-%s.dist-info/' % v
    with zipfile.ZipFile('/srv/w/alpha-%s-py3-none-any.whl' % v, 'w') as z:
        z.writestr('alpha.py', 'version = %r\n' % v)
        z.writestr(info + 'METADATA', 'Metadata-Version: 2.1\nName: alpha\nVersion: %s\n' % v)
        z.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        z.writestr(info + 'RECORD', '')
X
printf '[global]\nno-index = true\nfind-links = /srv/w\nbreak-system-packages = true\ndisable-pip-version-check = true\nroot-user-action = ignore\nno-cache-dir = true\n' >/etc/pip.conf
cat >/srv/serve.py <<'X'
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'well\n')
    def log_message(self, *a): pass
http.server.HTTPServer(('127.0.0.1', 8000), H).serve_forever()
X
setsid python3 /srv/serve.py >/dev/null 2>&1 &
echo once >/srv/salt/once; /opt/gosalt/gosalt-call --local -l quiet cp.cache_file salt://once >/dev/null
