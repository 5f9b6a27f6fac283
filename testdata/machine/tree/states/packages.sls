local:
  pkgrepo.managed:
    - name: deb [trusted=yes] file:/srv/repo ./
    - file: /etc/apt/sources.list.d/local.list
apps:
  pkg.installed:
    - pkgs: {{ pillar.packages | tojson }}
    - require:
      - pkgrepo: local
pinned:
  pkg.installed:
    - name: eta
    - version: '1.0'
    - hold: true
    - require:
      - pkg: apps
unwanted:
  pkg.purged:
    - name: delta
    - require: [{pkg: apps}]
nosuch:
  pkg.installed:
    - name: nosuchpackage
    - require: [{pkg: apps}]
