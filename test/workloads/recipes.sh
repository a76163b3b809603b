# What is in each image of images.sh: packages_NAME prints the Debian packages, files_NAME ROOT writes what is ours (entry points,
# settings), config_NAME prints the image's configuration, format_NAME the kind of archive. Images behave like those of the same name
# that people know: same ports, folders, variables and arguments; the words are our own.
images=(nginx redis mariadb php wordpress)
# Packages a container has no use for, though Debian's dependencies name them: apt is told that they are there.
dropped=(perl perl-base perl:any debconf-2.0 debconf ucf sensible-utils tzdata media-types iproute2 procps adduser lsb-base passwd
  init-system-helpers usrmerge usr-is-merged util-linux-extra base-files debianutils tar login logsave psmisc galera-4 socat mariadb-common
  mysql-common apache2 apache2-utils apache2-data php8.2-cli php8.2-readline php8.2-opcache php8.2-gd php-gd default-mysql-client
  default-mysql-server openssl ca-certificates libmagic1 libcurl4 libcurl3-gnutls libldap-2.5-0 libaprutil1-ldap libaprutil1-dbd-sqlite3
  libjs-cropper libjs-underscore dpkg ssl-cert)

accounts() { # ROOT: the users of all images.
  cat >"$1/etc/passwd" <<END
root:x:0:0:root:/root:/bin/bash
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
redis:x:999:999::/data:/usr/sbin/nologin
mysql:x:998:998::/var/lib/mysql:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
END
  printf 'root:x:0:\nwww-data:x:33:\nredis:x:999:\nmysql:x:998:\nnogroup:x:65534:\n' >"$1/etc/group"
  printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$1/etc/nsswitch.conf"
}
script() { # ROOT/PATH: an executable from standard input.
  cat >"$1" && chmod 755 "$1"
}
path=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

packages_base() { echo bash dash coreutils sed grep mawk util-linux findutils hostname libc6; }
files_base() {
  mkdir -p "$1"/{etc,root,proc,sys,dev,run,mnt,var/run,usr/local/bin} && mkdir -p -m 1777 "$1/tmp" "$1/var/tmp" || return 1
  accounts "$1"
  ln -sf mawk "$1/usr/bin/awk"
  ln -sf dash "$1/usr/bin/sh"
}

format_nginx() { echo docker; }
packages_nginx() { echo nginx-light; }
config_nginx() { echo "{\"Env\":[\"$path\",\"NGINX_VERSION=debian\"],\"Cmd\":[\"nginx\",\"-g\",\"daemon off;\"],\"ExposedPorts\":{\"80/tcp\":{}},\"StopSignal\":\"SIGQUIT\"}"; }
files_nginx() {
  mkdir -p "$1"/var/{log,cache,lib}/nginx "$1"/usr/share/nginx/html "$1/etc/nginx/conf.d" || return 1
  rm -rf "$1/etc/nginx/sites-enabled" "$1/etc/nginx/modules-enabled"
  cat >"$1/etc/nginx/nginx.conf" <<END
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 512; }
http {
  include mime.types;
  access_log /dev/stdout;
  sendfile on;
  include conf.d/*.conf;
}
END
  cat >"$1/etc/nginx/conf.d/default.conf" <<END
server {
  listen 80;
  location / { root /usr/share/nginx/html; index index.html; }
}
END
  echo '<html><title>Welcome to nginx</title><p>The web server nginx answers.</html>' >"$1/usr/share/nginx/html/index.html"
}

format_redis() { echo oci; }
packages_redis() { echo redis-server redis-tools; }
config_redis() { echo "{\"Env\":[\"$path\"],\"Entrypoint\":[\"redis-entry\"],\"Cmd\":[\"redis-server\"],\"WorkingDir\":\"/data\",\"Volumes\":{\"/data\":{}},\"ExposedPorts\":{\"6379/tcp\":{}}}"; }
files_redis() {
  mkdir -p "$1/data" "$1/usr/local/bin" || return 1
  script "$1/usr/local/bin/redis-entry" <<'END'
#!/bin/sh
# Flags or a settings file alone mean the server; the server gives up root and may be reached from other hosts.
set -e
case ${1:-} in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
  set -- "$@" --protected-mode no
  if [ "$(id -u)" = 0 ]; then
    chown redis .
    exec setpriv --reuid=redis --regid=redis --clear-groups "$@"
  fi
fi
exec "$@"
END
}

format_mariadb() { echo docker; }
packages_mariadb() { echo mariadb-server-core mariadb-client-core; }
config_mariadb() { echo "{\"Env\":[\"$path\"],\"Entrypoint\":[\"mariadb-entry\"],\"Cmd\":[\"mariadbd\"],\"Volumes\":{\"/var/lib/mysql\":{}},\"ExposedPorts\":{\"3306/tcp\":{}}}"; }
files_mariadb() {
  mkdir -p "$1/var/lib/mysql" "$1/run/mysqld" "$1/usr/local/bin" "$1/etc/mysql" || return 1
  rm -rf "$1/etc/mysql" && mkdir "$1/etc/mysql"
  printf '[mariadbd]\nuser=mysql\nbind-address=*\nskip-name-resolve\nskip-log-bin\ninnodb_buffer_pool_size=16M\nkey_buffer_size=1M\nsocket=/run/mysqld/mysqld.sock\n[client]\nsocket=/run/mysqld/mysqld.sock\n' >"$1/etc/mysql/my.cnf"
  script "$1/usr/local/bin/mariadb-entry" <<'END'
#!/bin/bash
# The first start makes the tables, root's password and one database with its user; statements that do so reach the server before its port.
set -eu
[ "$1" = mariadbd ] || exec "$@"
data=/var/lib/mysql
chown mysql:mysql $data /run/mysqld
if [ ! -e $data/.made ]; then
  password=${MYSQL_ROOT_PASSWORD:-${MARIADB_ROOT_PASSWORD:-}}
  [ -n "$password" ] || { echo "mariadb: MYSQL_ROOT_PASSWORD must be set" >&2; exit 1; }
  find $data -mindepth 1 -delete
  echo "mariadb: making the tables"
  chown mysql:mysql $data
  {
    # One statement a line is what --bootstrap reads.
    printf '%s;\n' "CREATE DATABASE mysql" "USE mysql" "SET @auth_root_socket=NULL, @skip_auth_anonymous=1"
    cd /usr/share/mysql
    cat mysql_system_tables.sql mysql_performance_tables.sql mysql_system_tables_data.sql maria_add_gis_sp_bootstrap.sql
    echo "FLUSH PRIVILEGES;"
    echo "CREATE USER 'root'@'%' IDENTIFIED BY '$password';
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
    echo "ALTER USER 'root'@'localhost' IDENTIFIED BY '$password';"
    [ -z "${MYSQL_DATABASE:-}" ] || echo "CREATE DATABASE \`$MYSQL_DATABASE\`;"
    [ -z "${MYSQL_USER:-}" ] || echo "CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$MYSQL_PASSWORD';
GRANT ALL ON \`${MYSQL_DATABASE:-}\`.* TO '$MYSQL_USER'@'%';"
  } | mariadbd --bootstrap --silent-startup
  sync
  : >$data/.made
fi
exec "$@"
END
}

# The web server with PHP inside; conf of our own: neither modules nor sites are switched on by links.
web_server() { # ROOT DOCUMENT-ROOT EXTENSION...
  local root=$1 documents=$2 module
  shift 2
  mkdir -p "$root$documents" "$root/var/log/apache2" "$root/run/apache2" "$root/usr/local/bin" "$root/etc/apache2" || return 1
  module=$(cd "$root/usr/lib/apache2/modules" && ls libphp*.so | head -n1)
  local version=${module#libphp}
  version=${version%.so}
  mkdir -p "$root/etc/php/$version/apache2/conf.d"
  cp "$root/usr/lib/php/$version/php.ini-production" "$root/etc/php/$version/apache2/php.ini"
  printf 'extension=%s.so\n' "$@" >"$root/etc/php/$version/apache2/conf.d/00-extensions.ini"
  cat >"$root/etc/apache2/apache2.conf" <<END
ServerRoot /etc/apache2
PidFile /run/apache2/apache2.pid
Listen 80
User www-data
Group www-data
ServerName localhost
ErrorLog /dev/stderr
LogFormat "%h \"%r\" %>s" short
CustomLog /dev/stdout short
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
LoadModule php_module /usr/lib/apache2/modules/$module
StartServers 2
MinSpareServers 1
MaxSpareServers 3
TypesConfig /dev/null
DirectoryIndex index.php index.html
DocumentRoot $documents
<Directory $documents>
  AllowOverride All
  Require all granted
</Directory>
<FilesMatch "\.php$">
  SetHandler application/x-httpd-php
</FilesMatch>
END
}
format_php() { echo docker; }
packages_php() { echo apache2-bin libapache2-mod-php php-redis; }
config_php() { echo "{\"Env\":[\"$path\"],\"Cmd\":[\"apache2\",\"-DFOREGROUND\"],\"WorkingDir\":\"/var/www/html\",\"ExposedPorts\":{\"80/tcp\":{}},\"StopSignal\":\"SIGWINCH\"}"; }
files_php() {
  web_server "$1" /var/www/html igbinary redis || return 1
  # A guestbook: a page that shows and takes messages, kept by a leader and read from its followers.
  cat >"$1/var/www/html/guestbook.php" <<'END'
<?php
header('Content-Type: application/json');
$command = $_GET['cmd'] ?? 'get';
$host = getenv('GET_HOSTS_FROM') == 'env' ? getenv($command == 'set' ? 'REDIS_LEADER_SERVICE_HOST' : 'REDIS_FOLLOWER_SERVICE_HOST')
                                          : ($command == 'set' ? 'redis-leader' : 'redis-follower');
try {
  $redis = new Redis();
  $redis->connect($host, 6379, 2.0);
  if ($command == 'set') {
    $redis->rPush('guestbook', $_GET['value']);
    echo json_encode(['message' => 'kept']);
  } else {
    echo json_encode(['data' => $redis->lRange('guestbook', 0, -1), 'host' => gethostname()]);
  }
} catch (RedisException $e) {
  http_response_code(503);
  echo json_encode(['error' => $e->getMessage()]);
}
END
  cat >"$1/var/www/html/index.php" <<'END'
<!doctype html><title>Guestbook</title><h1>Guestbook</h1><p>Served by <?= gethostname() ?></p>
END
}

format_wordpress() { echo docker; }
packages_wordpress() { echo apache2-bin libapache2-mod-php php-mysql php-xml wordpress; }
config_wordpress() { echo "{\"Env\":[\"$path\"],\"Entrypoint\":[\"wordpress-entry\"],\"Cmd\":[\"apache2\",\"-DFOREGROUND\"],\"WorkingDir\":\"/var/www/html\",\"Volumes\":{\"/var/www/html\":{}},\"ExposedPorts\":{\"80/tcp\":{}},\"StopSignal\":\"SIGWINCH\"}"; }
files_wordpress() {
  web_server "$1" /var/www/html mysqlnd mysqli dom xml || return 1
  # Debian's tree links into /etc and other packages; what people mount a volume over is a plain copy.
  mkdir -p "$1/usr/src" && rm -rf "$1/usr/share/wordpress/wp-config.php" && mv "$1/usr/share/wordpress" "$1/usr/src/wordpress" || return 1
  script "$1/usr/local/bin/wordpress-entry" <<'END'
#!/bin/bash
# Fills an empty volume with the program; the settings come from the environment at every request.
set -eu
[ "$1" = apache2 ] || exec "$@"
if [ ! -e index.php ]; then
  echo "wordpress: filling $PWD"
  cp -r --dereference /usr/src/wordpress/. . 2>/dev/null || [ -e wp-load.php ]
  cat >wp-config.php <<'PHP'
<?php
define('DB_NAME', getenv('WORDPRESS_DB_NAME') ?: 'wordpress');
define('DB_USER', getenv('WORDPRESS_DB_USER') ?: 'root');
define('DB_PASSWORD', getenv('WORDPRESS_DB_PASSWORD'));
define('DB_HOST', getenv('WORDPRESS_DB_HOST') ?: 'mysql');
define('DB_CHARSET', 'utf8');
define('DB_COLLATE', '');
define('WP_DEBUG', false);
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
PHP
  chown -R www-data:www-data .
fi
exec "$@"
END
}
