# Makes a repository in /srv/repo of packages with these names, and has apt know no other.
mkdir -p /srv/repo
cd /srv/repo
for p; do
	d=/tmp/b/$p; mkdir -p $d/DEBIAN $d/usr/share/$p $d/etc/$p
	printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.com>\nDescription: test\n' $p >$d/DEBIAN/control
	head -c 300000 /dev/urandom >$d/usr/share/$p/data; echo conf >$d/etc/$p/conf; echo /etc/$p/conf >$d/DEBIAN/conffiles
	dpkg-deb -Znone --root-owner-group -b $d . >/dev/null
	dpkg-deb -f ${p}_1_all.deb
	printf 'Filename: ./%s_1_all.deb\nSize: %s\nSHA256: %s\n\n' $p "$(stat -c %s ${p}_1_all.deb)" "$(sha256sum <${p}_1_all.deb | cut -d' ' -f1)"
done >Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/repo ./' >/etc/apt/sources.list
apt-get update >/dev/null 2>&1
