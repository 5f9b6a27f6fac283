{% for k, v in pillar.sysctl.items() %}
{{ k }}:
  sysctl.present:
    - value: {{ v }}
    - config: /etc/sysctl.d/60-app.conf
{% endfor %}
db.example.com:
  host.present:
    - ip: 10.0.0.5
    - names: [db.example.com, db]
/mnt/scratch:
  mount.mounted:
    - device: tmpfs
    - fstype: tmpfs
    - opts: [size=1m, mode=700]
    - mkmnt: true
    - persist: true
/mnt/later:
  mount.fstab_present:
    - name: tmpfs
    - fs_file: /mnt/later
    - fs_vfstype: tmpfs
    - fs_mntops: [noauto]
editor:
  alternatives.install:
    - name: pick
    - link: /usr/local/bin/pick
    - path: /usr/bin/true
    - priority: 30
Europe/Berlin:
  timezone.system:
    - utc: true
cmd:
  cmd.run:
    - name: echo made > /srv/made
    - creates: /srv/made
cmd_unless:
  cmd.run:
    - name: echo never
    - unless: test -e /etc/passwd
cmd_env:
  cmd.run:
    - name: test "$A" = b && pwd
    - env: [{A: b}]
    - cwd: /srv
    - onlyif:
      - test -d /srv
      - fun: file.directory_exists
        path: /etc
cmd_wait:
  cmd.wait:
    - name: echo waited >> /srv/waited
    - watch:
      - cmd: cmd
fails:
  cmd.run:
    - name: exit 3
rescue:
  cmd.run:
    - name: echo rescued
    - onfail:
      - cmd: fails
after_fail:
  test.nop:
    - require:
      - cmd: fails
script:
  cmd.script:
    - source: salt://files/script.sh
    - args: one two
    - template: jinja
    - creates: /srv/scripted
