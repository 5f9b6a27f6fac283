{% for s in ['/etc/app', '/etc/web', '/srv/www', '/srv/unpacked', '/etc/systemd/system/web.service', '/srv/decoded', '/srv/fifo'] %}
{{ s }}:
  file.absent:
    - require: [{service: web}]
{% endfor %}
web:
  service.dead:
    - enable: false
apps:
  pkg.purged:
    - pkgs: [alpha, beta, eta]
unhold:
  pkg.unheld:
    - name: eta
    - require_in: [{pkg: apps}]
local:
  pkgrepo.absent:
    - name: deb [trusted=yes] file:/srv/repo ./
{% for name in pillar.users %}
{{ name }}_key:
  ssh_auth.absent:
    - name: {{ pillar.users[name].key }}
    - user: {{ name }}
{{ name }}:
  user.absent:
    - purge: true
    - force: true
    - require: [{ssh_auth: {{ name }}_key}]
{% endfor %}
{% for name in pillar.groups %}
{{ name }}:
  group.absent:
    - require: [{user: ann}, {user: bob}]
{% endfor %}
known:
  ssh_known_hosts.absent:
    - name: host.example.com
    - user: ann
    - require_in: [{user: ann}]
backup:
  cron.absent:
    - name: /usr/bin/true --nightly
    - identifier: BACKUP
MAILTO:
  cron.env_absent:
    - user: root
db.example.com:
  host.absent:
    - ip: 10.0.0.5
    - names: [db.example.com, db]
/mnt/scratch:
  mount.unmounted:
    - device: tmpfs
    - persist: true
/mnt/later:
  mount.fstab_absent:
    - name: tmpfs
    - fs_file: /mnt/later
pick:
  alternatives.remove:
    - path: /usr/bin/true
role:
  grains.absent:
    - destructive: true
roles:
  grains.list_absent:
    - value: [db]
nightly:
  schedule.absent:
    - offline: true
Etc/UTC:
  timezone.system
