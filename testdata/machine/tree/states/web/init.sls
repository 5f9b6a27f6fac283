{% from 'map.jinja' import web with context %}
include:
  - packages
  - .vhosts
extend:
  apps:
    pkg:
      - require_in:
        - file: {{ web.conf }}
{{ web.conf }}:
  file.directory:
    - user: {{ web.user }}
    - mode: '0755'
web_unit:
  file.managed:
    - name: /etc/systemd/system/web.service
    - contents: |
        [Service]
        ExecStart=/bin/sleep infinity
        ExecReload=/bin/true
        [Install]
        WantedBy=multi-user.target
  module.run:
    - service.systemctl_reload:
    - onchanges: [{file: web_unit}]
web:
  service.running:
    - enable: true
    - reload: true
    - require: [{module: web_unit}]
    - watch:
      - file: {{ web.conf }}/*
bad:
  service.running:
    - name: nosuchservice
    - onfail:
      - service: web
stopped:
  service.dead:
    - name: cron
    - enable: false
