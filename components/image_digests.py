"""Digests of container images, each with where it was read. Nothing here was computed or guessed.

A digest of another tag, or a newer push of a tag, comes in by a line of its own; a tag that is not listed is used
without a digest and reported by the output `unpinnedImages`. "public configurations" are files of public repositories
that pin the same digest for the tag.
"""

from __future__ import annotations

from collections.abc import Mapping

DIGESTS: Mapping[str, Mapping[str, str]] = {
    "docker.io/certbot/dns-cloudflare": {
        # public configurations
        "v5.7.0": "sha256:3bd60102cdef55294a44ffbff10bb54dd086803aa57d3f854933b756d305fbb8",
    },
    "docker.io/cloudflare/cloudflared": {
        # public configurations
        "2026.10.0": "sha256:9b49eed8f62806d5d45ddf59ecefb5710429598ea6d3fcccd2af938f621b2b07",
    },
    "docker.io/grafana/grafana": {
        # public configurations
        "13.2.3": "sha256:b28bae15e219c998fb0e0424ed724930cc61b1f61fb404d47c862f9a23f9e572",
    },
    "docker.io/library/busybox": {
        # Aviator-Coding/home-ops 2026-05-27, rwlove/home-ops 2026-07-24
        "1.37.0": "sha256:9532d8c39891ca2ecde4d30d7710e01fb739c87a8b9299685c63704296b16028",
    },
    "docker.io/nginx/nginx-prometheus-exporter": {
        # public configuration
        "1.5.1": "sha256:9f6d963bb2b19d706d401cc3e2c3ea8de2f1c471b96a2156ca45e76f650b1625",
    },
    "docker.io/nginxinc/nginx-unprivileged": {
        # public configurations
        "1.31.6-alpine": "sha256:26b0bf6fbf07297983cb341998d79c831508787de26627dd2a112321b9c3a4af",
    },
    "docker.io/oliver006/redis_exporter": {
        # public configuration
        "v1.91.1": "sha256:c67a432dba6b4ae30f471e3c77cf14a289133bbeeb89abb0bb03e6092efb2836",
    },
    "docker.io/prom/alertmanager": {
        # public configuration
        "v0.34.1": "sha256:e9733bafb1bdef9b00e25a21f8f99dc26a22224bf16641ad754d1649f4c3357a",
    },
    "docker.io/prom/blackbox-exporter": {
        # public configurations
        "v0.28.0": "sha256:e753ff9f3fc458d02cca5eddab5a77e1c175eee484a8925ac7d524f04366c2fc",
    },
    "docker.io/prom/node-exporter": {
        # public configurations
        "v1.12.1": "sha256:1b4e4438faca4dd7e001dd445d161a4a2091b0fededa84093b3a8dfeae1f1be0",
    },
    "docker.io/prom/prometheus": {
        # public configurations
        "v3.15.0": "sha256:efd719c99d83b060d9daefdcf00360461adf279f45ef5391f8d111892118753e",
    },
    "docker.io/rclone/rclone": {
        # public configurations
        "1.74.0": "sha256:d2e0e88359d0b2e67cfcd2c43d5405185eb8adfc207079df27c42da82c5207bc",
    },
    "docker.io/restic/restic": {
        # public configurations
        "0.19.1": "sha256:136600b6ff6843d61d355f7f71f460a166429f35de6fd11b568fece3c9a4d510",
    },
    "docker.io/valkey/valkey": {
        # public configurations
        "9.1.2": "sha256:418652cfb58ef879d4978c33553735d7147016032d5aefaa14c828e611eb9dfd",
    },
    "ghcr.io/immich-app/immich-machine-learning": {
        # elcattivo66/home-ops 2026-01-27
        "v2.5.0": "sha256:5fee7f3e052c3d32d4edecafad68317394daae26f57d895fbd487886083725a7",
        # solanyn/home-ops 2026-01-27
        "v2.5.0-cuda": "sha256:87465e1736e071814f07169aedfabe94928b7f5a121ac06c9d63a74113585e4b",
        # drag0n141/home-ops 2026-01-27
        "v2.5.0-openvino": "sha256:f37faec433c5a286204a7b9c34a429683b3127d394eb379a1566e2580fcac76b",
        # elcattivo66/home-ops 2026-01-29
        "v2.5.2": "sha256:531d2bccbe20d0412496e36455715a18d692911eca5e2ee37d32e1e4f50e14bb",
        # solanyn/home-ops 2026-01-29
        "v2.5.2-cuda": "sha256:ba15638c3f38521f7997677ffa4234c63563f72a084ad03c7692b91b4ad243f9",
        # drag0n141/home-ops 2026-01-29
        "v2.5.2-openvino": "sha256:ee58fc4d486f6e4247a9c065b140a7eb7114fe41b1d5a63c0be0040a26a0674c",
        # elcattivo66/home-ops 2026-02-04
        "v2.5.3": "sha256:fa843f76cd34795ce8ca133d2c62ad67aa082b0f90b578ce7878210dcb5ad536",
        # solanyn/home-ops 2026-02-04
        "v2.5.3-cuda": "sha256:13c143ce36d793358019a6cfea317887ec5f64ebebdfc0b988e185a2cbf37146",
        # drag0n141/home-ops 2026-02-04
        "v2.5.3-openvino": "sha256:3d158338445644423b186b0e8dddd0a447ac75b0672de7104cc5a848316cf0d1",
        # elcattivo66/home-ops 2026-02-06
        "v2.5.5": "sha256:2e17e15855907ece0d5b3a7bf625b12f6d987a5854fa71d888641acae28b0323",
        # solanyn/home-ops 2026-02-06
        "v2.5.5-cuda": "sha256:467d18865df136a096a6059075eb38d4590cb708260cd365ae70807db2a4cb86",
        # drag0n141/home-ops 2026-02-06
        "v2.5.5-openvino": "sha256:4029c1212e7d0d80fd247420a5e49dfa4c62d648af06c49e2038b87716e5f4fd",
        # adampetrovic/home-ops 2026-02-26
        "v2.5.6": "sha256:b213fa3c82d27a21a299c46ffbb38a091f18384db1ad67d409a3b34fe0fce556",
        # solanyn/home-ops 2026-02-10
        "v2.5.6-cuda": "sha256:6bfdbe69ffcd0543f8f8fc45993d9b1559aa3c92078c44b41ece67132d16d9d3",
        # auricom/home-ops 2026-03-12
        "v2.5.6-openvino": "sha256:fec6fd64c322b962a7f9830be805096c569b658d99b7732c43e0d7ea472b6e8f",
        # adampetrovic/home-ops 2026-03-19
        "v2.6.0": "sha256:ea9d2fc9ede44071957c7f1191fc86a842362cf3e8e6667b5c8a449442758d56",
        # adampetrovic/home-ops 2026-03-19
        "v2.6.1": "sha256:cafc1ff51b95a931d17d69226435bbb28ea314f151598b8b087391c232d00ab6",
        # auricom/home-ops 2026-03-19
        "v2.6.1-openvino": "sha256:bd5aa51a9f9a17eebf17daa7731b3bacd71a4aa542ce424d3adb06552b40e905",
        # elcattivo66/home-ops 2026-03-24
        "v2.6.2": "sha256:2d2d56d12d32b904a86952dd048224d117251d10ed10a4d75279e080e79002b7",
        # auricom/home-ops 2026-03-24
        "v2.6.2-openvino": "sha256:cdfbf1f042cc40149a9f2d416e8fd9ee526230c80e684652abe2595f6b39a25a",
        # adampetrovic/home-ops 2026-03-26
        "v2.6.3": "sha256:33b17015c3d14f2565e9b8cd36b48a70027b14b5cd20da7fbfff21a370b0309c",
        # auricom/home-ops 2026-03-26
        "v2.6.3-openvino": "sha256:428b319762c5c0f39218162bd24cab38f48d369c580389e9897c8ab92807cf7a",
        # elcattivo66/home-ops 2026-04-07
        "v2.7.0": "sha256:aff861526d690bb720130a46bd48ee2827c44d2f601a194e61f31e979a591952",
        # Tanguille/cluster 2026-04-08
        "v2.7.2": "sha256:2f381909ca2b669f22bf872ee0bea6b7d16dfce109431647a8cad0f2571ff053",
        # auricom/home-ops 2026-04-07
        "v2.7.2-openvino": "sha256:bdb10023d63ae7bdf41de9d9626f6e930574b393f07483743a0e042d71112cc5",
        # Tanguille/cluster 2026-04-09
        "v2.7.3": "sha256:ccea091ea02086bb9a4712497a6db945a10548f7817101fa18e9b20fdb4f746f",
        # auricom/home-ops 2026-04-09
        "v2.7.3-openvino": "sha256:1bc97a21569291daa291a004f3ce36c03e593709afbaee6c60eb6b2b44d31485",
        # Tanguille/cluster 2026-04-10
        "v2.7.4": "sha256:e25a410b99567c369da14508c7e874dfbeee1bcf06adda2c4148ab2f32f9463d",
        # drag0n141/home-ops 2026-04-10
        "v2.7.4-openvino": "sha256:a11f3a2075f7615bc4e628f52a673a7c791b686eff609992db09bcb06aabf552",
        # Exikle/Artemis-Cluster 2026-05-23
        "v2.7.5": "sha256:a2501141440f10516d329fdfba2c68082e19eb9ba6016c061ac80d23beadf7f3",
        # rwlove/home-ops 2026-05-03
        "v2.7.5-cuda": "sha256:304142175e345f0155d7642f637cfdceae60e89075ff03938cb2886d52c65a62",
        # auricom/home-ops 2026-04-13
        "v2.7.5-openvino": "sha256:71cd5a681823c4b818f4b24b3f05816eccc3d085559e7615f695bde77e64f1f2",
        # rcdailey/home-ops 2026-07-02
        "v3.0.0-openvino": "sha256:9abb73aff96dc3a9aa28cfa090d1556708890811d3b8b9b6bacfb14436037a21",
        # Exikle/Artemis-Cluster 2026-07-03
        "v3.0.1": "sha256:cb2128c5cbc554fdaa2a036fb4419c808a9f3e0f27170e569dd9e727243da909",
        # rwlove/home-ops 2026-07-02
        "v3.0.1-cuda": "sha256:e5b2e693c5531e5794d96213409f0ce122eccd25feec91a9cd74b99eba183d65",
        # drag0n141/home-ops 2026-07-02
        "v3.0.1-openvino": "sha256:d5561b55333f88ac4fe240f846c89f498693b0a9cedef6b1c45fcca0c7969cc4",
        # Exikle/Artemis-Cluster 2026-07-09
        "v3.0.2": "sha256:412f68e46e1966d0f87a8733a430369ee184b3a83e7b1e2db536dff291a34aa7",
        # rwlove/home-ops 2026-07-09
        "v3.0.2-cuda": "sha256:cad0c6c38c60bd6a5a1929cbed01eecc105bcb58775682c137497632f8db5adc",
        # drag0n141/home-ops 2026-07-09
        "v3.0.2-openvino": "sha256:6b3c1f779df2e0f93be57bb2ad15681a43b7731cb325e8e66be7d984eca1949d",
        # Exikle/Artemis-Cluster 2026-07-15
        "v3.0.3": "sha256:d76fe88b69282c09a97eac4f82dafa82cfd77bce274bc742591cde974f87dacb",
        # rwlove/home-ops 2026-07-16
        "v3.0.3-cuda": "sha256:0d66acce99224495fda2288e2d8f52b459712b2e897e67b492729bce07775c08",
        # drag0n141/home-ops 2026-07-15
        "v3.0.3-openvino": "sha256:42295f06067186ee62f8bc20379c72a263e600b8ad22dc9fb22385712d00944e",
        # Exikle/Artemis-Cluster 2026-07-29
        "v3.1.0": "sha256:5a0839dc5303cd7215bcd2180a26aed3af41675aefb3e75e5157e9f10ad16e6e",
        # rwlove/home-ops 2026-07-31
        "v3.1.0-cuda": "sha256:82d3f6a093455964508052e0b3bc55a91075b48b65be35e78b40774a72c1ebb3",
        # auricom/home-ops 2026-07-29
        "v3.1.0-openvino": "sha256:4b6ef958e7749fc548377bb23ee219c09c74da8decee080d76dc6a388c39b013",
        # public configuration
        "v3.1.0-rocm": "sha256:dd0984a9d61172d45ab4cc3508e3e9861d5262b50ede18200bb5fa56b3addb49",
        # public configuration
        "v3.2.1-openvino": "sha256:88d70a32d786632504c6fb43c56095de010d9ec6a66cf4f550063afa667121bc",
        # public configurations
        "v3.2.2": "sha256:60dfcf266a9ef3b7376f5678e8c980d4fb61db5fc48c078fe8a326ab1535d60d",
        # public configuration
        "v3.2.2-cuda": "sha256:38001e84ce46206e9e019d8ee7f567bf55914f019dff8f6a70d02fd93bb14073",
        # public configuration
        "v3.2.2-openvino": "sha256:4013ec28ccf6344d7ae24554743a116d7f61124b98858f5646a401d5c5df12e2",
        # public configurations
        "v3.2.4": "sha256:e16c2f166a8174901959fdf85e2e4c7bd1ebc4b37e0b6655de97c41408a260c4",
        # public configurations
        "v3.2.4-cuda": "sha256:b9fdebfe7f07ff71f77e9d67d509d83c5e055da486a07c12080669c82a80c65e",
        # public configuration; read as release-openvino beside the same release
        "v3.2.4-openvino": "sha256:ee28c9419670b7f4c17765fb089527eff977deb8e8fb83e714aa1fa57aa89736",
        # public configuration; read as release-rocm beside the same release
        "v3.2.4-rocm": "sha256:5be1881160b2fe976f5e3fca28b1b88f58ed7031fb391378fd9d955bc400a7db",
        # public configurations
        "v3.3.0": "sha256:aa88ec3aef3bdc97ab31eff66acecc98bb6ee14d47b6122c25e761ed9f31a7da",
        # public configurations; read as release-cuda beside the same release
        "v3.3.0-cuda": "sha256:72c6276bd96505b8cf543bbb3dc58da9fd0654fe361ba4140dca8407e3a2be71",
        # public configuration; read as release-openvino beside the same release
        "v3.3.0-openvino": "sha256:a79670d05f8da90c86f8074afe1beaf51abee53c58692ad45cae2efd9afd4aca",
        # public configuration; read as release-rocm beside the same release
        "v3.3.0-rocm": "sha256:f0f594014b7210e716e314aa9711f60aca9ff4688b47b94902de2ec2ac083822",
        # public configurations
        "v3.3.1": "sha256:513c831cfb010ad319341a0c86b42c575a0d5b688d3e8cae346ee624074a58ed",
        # public configuration; read as release-cuda beside the same release
        "v3.3.1-cuda": "sha256:d1a195d377cfac65886901a6b2d4040b61b7e7db7ca55db1598622d3a2f125e2",
        # public configuration; read as release-openvino beside the same release
        "v3.3.1-openvino": "sha256:9f5ea923b763435592280e2f5e051a62f1a33d6d14e87620fc15453c27a12ae0",
        # public configuration; read as release-rocm beside the same release
        "v3.3.1-rocm": "sha256:0936fa0414903164315c9c80a9f2c2a6ed9b8387ce05decbfe606d1d54e7a2ca",
    },
    "ghcr.io/immich-app/immich-server": {
        # drag0n141/home-ops 2026-01-27
        "v2.5.0": "sha256:6c011eaa315b871f3207d68f97205d92b3e600104466a75b01eb2c3868e72ca1",
        # drag0n141/home-ops 2026-01-29
        "v2.5.2": "sha256:8ac5a6d471fbb6fcfec6bc34854dd5a947c1795547f0d9345d9bf1803d1209e3",
        # drag0n141/home-ops 2026-02-04
        "v2.5.3": "sha256:9b2e5525c411b7b2d0b74267e71321692c856b32db1429a1b40440184460b402",
        # drag0n141/home-ops 2026-02-06
        "v2.5.5": "sha256:161b1ec8af9e0478797cfd75ea857c7e55af271fa7cea103cb30ab1ba5b418d8",
        # adampetrovic/home-ops 2026-02-26
        "v2.5.6": "sha256:aa163d2e1cc2b16a9515dd1fef901e6f5231befad7024f093d7be1f2da14341a",
        # adampetrovic/home-ops 2026-03-19
        "v2.6.0": "sha256:17c5e557685a0f4c6e92e3e78be80724c00391314586e6cd402061bce4c72d8f",
        # adampetrovic/home-ops 2026-03-19
        "v2.6.1": "sha256:aa7fe8eec3130742d07498dac7e02baa2d32a903573810ba95ed11f155c7eac1",
        # auricom/home-ops 2026-03-24
        "v2.6.2": "sha256:1521a1c8c1727ec240e57585db7bf90a3b067066d4847baeb80f353d721f4d5a",
        # adampetrovic/home-ops 2026-03-26
        "v2.6.3": "sha256:0cc1f82953d9598eb9e9dd11cbde1f50fe54f9c46c4506b089e8ad7bfc9d1f0c",
        # elcattivo66/home-ops 2026-04-07
        "v2.7.0": "sha256:ee60b98e7fcc836d61d7f5e7689514f3de7a9480f31ec6ca62d6221056b46ae1",
        # Tanguille/cluster 2026-04-08
        "v2.7.2": "sha256:6a2952539e2a9c8adcf6fb74850bb1ba7e1db2804050acea21baafdc9154c430",
        # Tanguille/cluster 2026-04-09
        "v2.7.3": "sha256:00cd2d57e4d9310a4aeac3c23f249af1eadbc1802746e1178589ef0a49374cef",
        # Tanguille/cluster 2026-04-10
        "v2.7.4": "sha256:040b2fed8f7f6b7405f9b4b26348b4656355e4d4ed0852b8e966d453dd6635cc",
        # Exikle/Artemis-Cluster 2026-05-23
        "v2.7.5": "sha256:c15bff75068effb03f4355997d03dc7e0fc58720c2b54ad6f7f10d1bc57efaa5",
        # adampetrovic/home-ops 2026-07-02
        "v3.0.0": "sha256:685ba5c93337058ff8a189d3ed89f0ba470ef966b1c94d2eace1a3d991f9816e",
        # Exikle/Artemis-Cluster 2026-07-03
        "v3.0.1": "sha256:46dedfc5848f7313bd6b584ea9f2648057430307aad6de56de968f6710a72cae",
        # Exikle/Artemis-Cluster 2026-07-09
        "v3.0.2": "sha256:14390f3dc9512dc3273b12ccee6363d9be16c388699abc3f3fe0498bb9829937",
        # Exikle/Artemis-Cluster 2026-07-15
        "v3.0.3": "sha256:c716dc20f957aafd89fa9d284a2ec63e25c9e2d8d8e87c6197d540a3dce237db",
        # Exikle/Artemis-Cluster 2026-07-29
        "v3.1.0": "sha256:b434cb9287eea1471c9974845914d4dd328c9c2d652e446ed4930f99944f0ceb",
        # public configurations
        "v3.2.2": "sha256:79cc1623323d5894922686d8743b4780181428f98eecbfb58ce12c41ef02d1ea",
        # public configurations
        "v3.2.4": "sha256:d317916b28090c33eb36b308464ea391f8b7df1d850fcfea227a39ec879718c2",
        # public configurations
        "v3.3.0": "sha256:be56bc12c17a84617a979ad1eab1d9105bbec1955ffa7da09b3f9cf79d3bd09d",
        # public configurations
        "v3.3.1": "sha256:db996e352359771c6a3db121a0ed8761516b22f727fc092a0f46dcfef82c1bc1",
    },
    "ghcr.io/immich-app/postgres": {
        # public configurations
        "14-vectorchord0.4.3-pgvectors0.2.0": "sha256:bcf63357191b76a916ae5eb93464d65c07511da41e3bf7a8416db519b40b1c23",
        # public configuration
        "14-vectorchord0.5.3": "sha256:86b806bf558ef4e53b715f32fedec278f4dba5bbc29e3689b6ca85108d62976f",
        # Exikle/Artemis-Cluster 2026-05-23
        "16-vectorchord0.4.3-pgvectors0.2.0": "sha256:1a078b237c1d9b420b0ee59147386b4aa60d3a07a8e6a402fc84a57e41b043a4",
        # auricom/home-ops 2026-03-12
        "17-vectorchord0.4.3": "sha256:79b95b795f0911e95ffa4d092a2162c4d81a984d5629bc8f786afe0bc0657671",
        # auricom/home-ops 2026-07-07
        "17-vectorchord0.5.3": "sha256:de30761f0081f2adcdcdb3fdcfa2d53aa73badb3712f943bf84eaffc8fc706af",
        # auricom/home-ops 2026-07-07
        "18-vectorchord0.5.3": "sha256:828081a755d3911a2d94f0a2be9f98570c07d52cf080fd310a9d6e4b83b73aa5",
        # public configuration
        "18-vectorchord1.1.1": "sha256:6e384bf4aa03866473395961786f40006555e4cd008b98f92bf4a44e5ab7b012",
    },
    "ghcr.io/tensorchord/cloudnative-vectorchord": {
        # hydazz/home-ops 2025-10-10
        "16.10-0.5.3": "sha256:0c2cac415c224a6b019537b014b2e4784b087cc097bbbc9b0e527fbb4d767e6e",
        # martinbjeldbak/home-ops 2026-04-03
        "16.13-1.1.1": "sha256:11e4e5a9a45a8b92006a698c7899cd96d22cf74870659db83b462b9a2ecd0d1f",
        # hydazz/home-ops 2025-10-10
        "17.5-0.4.3": "sha256:acebb38ca309938bc05ce268b019c98aa718cb554dd54e4443654d9d00a0d498",
        # drag0n141/home-ops 2025-11-12
        "17.6-0.5.3": "sha256:ef3bf2e3abe76c3939b994afbde46cb9f24d2fbdf7ff2026a03aefa84d9a2a23",
        # adampetrovic/home-ops 2026-02-26
        "17.8-1.1.0": "sha256:1bb77658b6ee347554e36a5d34f064e155f0bc39c16c3fd8a50fc3041c319e2f",
        # hydazz/home-ops 2026-07-17
        "17.10-1.1.1": "sha256:f22538c11c6d0e9ade44d3224f2dccd6bad9b2e60034b2e118804f9ad35f59bf",
        # drag0n141/home-ops 2025-11-13
        "18.0-0.5.3": "sha256:267f6cbb32af6e109e138a143c7e9dd5d44d68433ec2303f0c30e745c788d1a9",
        # martinbjeldbak/home-ops 2026-04-03
        "18.3-1.1.1": "sha256:392b53675b403d6a2c72b673cc488a7c272514755dd818c622fb9ce4665193c4",
        # hydazz/home-ops 2026-07-17
        "18.4-1.1.1": "sha256:9c9246cb8ba0332f7e1115def71329410657237db8ef104160a479a89c7e03a2",
        # public configurations
        "18.6-1.1.1": "sha256:c7672bc011351a587cc292a94aac7eeebb593ed2e120077bd9c9944c9467db93",
    },
    "nvcr.io/nvidia/k8s/dcgm-exporter": {
        # public configurations
        "4.5.3-4.8.2-distroless": "sha256:60d3b00ac80b4ae77f94dae2f943685605585ad9e92fdccda3154d009ae317cc",
    },
    "quay.io/prometheuscommunity/postgres-exporter": {
        # mitchross/talos-argocd-proxmox 2026-07-30 and other public configurations
        "v0.20.1": "sha256:ac5ec343104fae0e2d84a27bb8d69b38430a11910c5382cad85d478d2bab713e",
    },
}
