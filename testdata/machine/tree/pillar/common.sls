motd: |
  Welcome to the machine.
  Second line.
web:
  port: 8080
  vhosts:
    one: {docroot: /srv/www/one, ssl: false}
    two: {docroot: /srv/www/two, ssl: true}
sysctl:
  vm.swappiness: 20
packages: [alpha, beta]
